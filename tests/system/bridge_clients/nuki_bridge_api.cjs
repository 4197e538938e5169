// nuki-bridge-api, with which ioBroker.nuki-extended and node-red-contrib-nuki call a Bridge, in a process of its own.
"use strict";

const path = require("path");
const readline = require("readline");
const { Bridge } = require(path.join(process.env.NODE_TREE, "nuki-bridge-api"));

let bridge;
const locks = {};

const DO = {
    // as ioBroker.nuki-extended does; its switch "hashed token" is the opposite of forcePlainToken
    connect: async (port, token, forcePlainToken) => {
        bridge = new Bridge("127.0.0.1", port, token, { forcePlainToken, delayBetweenRequests: 50 });
        return bridge.info();
    },
    list: async () => {
        const found = await bridge.list();
        for (const each of found) {
            locks[each.nukiId] = each.nuki;
            delete each.nuki;
        }
        return found;
    },
    lockState: (id) => locks[id].lockState(),
    lockAction: (id, action, noWait) => locks[id].lockAction(action, noWait),
    lock: (id) => locks[id].lock(),
    unlock: (id) => locks[id].unlock(),
    addCallback: async (url) => {
        const added = await bridge.addCallbackUrl(url, false);
        return { id: added.getCallbackId(), url: added.getUrl() };
    },
    callbacks: () => bridge.getCallbackUrls(),
    removeCallback: async (id) => {
        const found = await bridge.getCallbacks();
        return found.find((each) => each.getCallbackId() === id).remove();
    },
};

(async () => {
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const request = JSON.parse(line);
        let answer;
        try {
            const ok = await DO[request.do](...request.with);
            answer = { ok: ok === undefined ? null : ok };
        } catch (error) {
            answer = { error: error.name || "answer", status: error.response && error.response.statusCode, message: String(error.message || JSON.stringify(error)) };
        }
        process.stdout.write(JSON.stringify(answer) + "\n");
    }
    process.exit(0);
})();
