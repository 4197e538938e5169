// Runs before anything else: takes an invitation's code out of the address, so that no history, bookmark or screenshot has it.
"use strict";
var arrived = location.hash;
if (arrived) history.replaceState(null, "", location.pathname + location.search);
