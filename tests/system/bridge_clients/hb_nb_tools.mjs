// hb-nb-tools, with which homebridge-nb calls a Bridge and listens to it, in a process of its own.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import path from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(path.join(process.env.NODE_TREE, "x.js"));
const load = async (name) => import(pathToFileURL(require.resolve(name)));
const { NbClient } = await load("hb-nb-tools/NbClient");
const { NbListener } = await load("hb-nb-tools/NbListener");

let client;
let listener;
const events = [];

// homebridge-nb sends the ID of a lock in hexadecimal
const hex = (id) => id.toString(16).toUpperCase();

const DO = {
    connect: async (port, token, encryption, timeout = 15) => {
        client = new NbClient({ host: `127.0.0.1:${port}`, token, encryption, timeout });
        client.on("event", (event) => events.push(event));
        client.on("error", () => {});
        await client.init();
        return { id: client.id, name: client.name, firmware: client.firmware };
    },
    auth: async (port) => {
        client = new NbClient({ host: `127.0.0.1:${port}`, timeout: 15 });
        client.on("error", () => {});
        return client.auth();
    },
    list: async () => (await client.list()).body,
    lockState: async (id, type) => (await client.lockState(hex(id), type)).body,
    lockAction: async (id, type, action) => (await client.lockAction(hex(id), type, action)).body,
    listen: async () => {
        listener = new NbListener(0);
        const url = await listener.addClient(client);
        const added = (await client.callbackAdd(url)).body;
        const callbacks = (await client.callbackList()).body.callbacks;
        return { url, added, callbacks };
    },
    events: async () => events,
    forget: async (id) => (await client.callbackRemove(id)).body,
};

for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    let answer;
    try {
        const ok = await DO[request.do](...request.with);
        answer = { ok: ok === undefined ? null : ok };
    } catch (error) {
        answer = { error: error.constructor.name, status: error.statusCode, message: String(error.message) };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
}
process.exit(0);
