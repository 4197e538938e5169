"""The phone page with real parts: its modules in node and in browsers, its views in Chromium and WebKitGTK."""
