// What the page's modules compute, held against known answers. One function, so that node and a browser can run it alike:
// `load(name)` imports a module of the page, `vectors` is tests/unit/vectors.json, `known` what Python computes. It answers
// how many checks passed, and throws the first that did not.
async (load, vectors, known) => {
  const { hex, unhex, utf8, u32, readU32 } = await load("bytes.js");
  const frames = await load("frames.js");
  const messages = await load("messages.js");
  const invitation = await load("invitation.js");
  const packets = await load("packets.js");
  const { matches } = await load("mqtt.js");
  let count = 0;
  const same = (found, wanted, what) => {
    count++;
    const [left, right] = [JSON.stringify(found), JSON.stringify(wanted)];
    if (left !== right) throw new Error(`${what}: ${left} instead of ${right}`);
  };
  const throws = (work, what) => {
    count++;
    try {
      work();
    } catch {
      return;
    }
    throw new Error(`${what}: no error`);
  };
  const upper = (bytes) => hex(bytes).toUpperCase();

  same(frames.crc(utf8("123456789")), 0x29b1, "the CRC's check value");
  for (const each of vectors.crc.unencrypted_messages) {
    const { command, payload } = frames.openPlain(unhex(each.message));
    same(command, Number(each.command), "a plain message's command");
    same(upper(frames.plainFrame(command, payload)), each.message, "a plain message made again");
  }
  throws(() => frames.openPlain(unhex("0E00009DD8")), "a plain message with a wrong CRC");

  for (const each of vectors.encrypted) {
    const key = unhex(each.shared_key), message = unhex(each.message);
    const opened = frames.openFrame(message, key);
    same(opened.authorizationId, each.authorization_id, `${each.name}: authorization`);
    same(opened.command, Number(each.command), `${each.name}: command`);
    same(upper(opened.payload), each.payload, `${each.name}: payload`);
    const again = frames.encryptedFrame(each.authorization_id, opened.command, opened.payload, key, unhex(each.nonce));
    same(upper(again), each.message, `${each.name}: made again`);
    for (let at = 0; at < message.length; at += 7) {
      const changed = message.slice();
      changed[at] ^= 1;
      if (at < 24 || at >= 30) throws(() => frames.openFrame(changed, key), `${each.name}: byte ${at} changed`);
    }
    for (const size of [1, 20, 30, 31, 244]) {
      const reassembler = new frames.Reassembler(), found = [], twice = [...message, ...message];
      for (let at = 0; at < twice.length; at += size) found.push(...reassembler.feed(Uint8Array.from(twice.slice(at, at + size))));
      same(found.map(upper), [each.message, each.message], `${each.name}: in pieces of ${size}`);
    }
    if (each.name === "lock action unlock") {
      const nonce = unhex(each.payload).slice(-32);
      same(upper(messages.lockAction(messages.ACTIONS.lock.unlock, 0, nonce)), each.payload, "the payload of unlock");
    }
    if (each.name === "request challenge") same(upper(messages.requestData(messages.COMMAND.challenge)), each.payload, each.name);
  }
  same(messages.readStates(unhex(vectors.keyturner_payloads_published[0].payload)).state, "unlocking", "published states");
  same(messages.readStates(unhex(vectors.keyturner_payloads_published[1].payload)).door, null, "old firmware tells no door");
  const long = messages.readStates(unhex(vectors.derived.find((each) => each.name.startsWith("keyturner states")).payload));
  same([long.state, long.door, long.level, long.critical, long.completion], ["unlocked", "closed", 84, false, "success"], "27 bytes of states");
  throws(() => messages.readStates(new Uint8Array(12)), "states of 12 bytes");
  same(messages.readError(unhex("270D00")), "time_not_allowed", "an error's code");
  same(messages.readError(unhex("990D00")), "unknown_0x99", "an error of new firmware");
  same([...Array(256).keys()].map((number) => messages.readError(Uint8Array.of(number))), known.errors, "all error codes");
  same([...Array(256).keys()].map((number) => messages.readStates(Uint8Array.of(2, number, ...Array(11).fill(0))).state), known.states, "all states");
  // An Opener: opener.md 3 and 4, byte by byte.
  const challenge = Uint8Array.from({ length: 32 }, (_, at) => at + 1);
  const strikes = { activate_rto: "01", deactivate_rto: "02", open: "03", activate_continuous_mode: "04", deactivate_continuous_mode: "05" };
  same(Object.keys(messages.ACTIONS.opener), Object.keys(strikes), "an Opener's actions");
  for (const [action, byte] of Object.entries(strikes)) {
    same(hex(messages.lockAction(messages.ACTIONS.opener[action], 0x01020304, challenge)), `${byte}0403020100${hex(challenge)}`, `an Opener's ${action}`);
  }
  const opener = (bytes) => messages.readStates(unhex(bytes.replaceAll(" ", "")), "opener");
  for (const [bytes, state, mode, trigger, critical] of [
    ["02 01 00 e807 06 01 0c 00 00 7800 00", "locked", "door_mode", 0, false],
    ["02 03 03 e807 06 01 0c 00 00 7800 01 07 14", "rto_active", "door_mode", 3, true],
    ["03 01 02 e807 06 01 0c 00 00 7800 00 07 00 04 00 00 00", "locked", "continuous_mode", 2, false],
    ["03 07 01 e807 06 01 0c 00 00 7800 fe 07 00 04 00 00 00", "opening", "continuous_mode", 1, false],
    ["02 05 01 e807 06 01 0c 00 00 7800 ff 07 00 03 00 00 00 0000 00 00", "open", "door_mode", 1, true],
  ]) {
    const read = opener(bytes);
    same([read.state, read.mode, read.trigger, read.critical, read.level], [state, mode, trigger, critical, null], `an Opener's states ${bytes}`);
  }
  throws(() => opener("02 01 00 e807 06 01 0c 00 00 7800"), "an Opener's states of 12 bytes");
  same([...Array(256).keys()].map((number) => opener(`02 ${hex(Uint8Array.of(number))}${"00".repeat(11)}`).state), known.opener_states, "all states of an Opener");
  same(readU32(u32(0xfedcba98), 0), 0xfedcba98, "4 bytes");

  for (const each of known.codes) {
    same(invitation.readCode(each.typed), each.code, "a code as typed");
    same(invitation.lookup(each.code), each.lookup, "lookup");
    same(hex(invitation.keyOf(each.code)), each.key, "key");
    same(invitation.shown(each.code), each.shown, "shown");
    const sealed = invitation.sealMessage(utf8("content"), invitation.keyOf(each.code), unhex(each.nonce));
    same(hex(sealed), each.sealed, "sealed");
    same(hex(invitation.unsealMessage(sealed, invitation.keyOf(each.code))), hex(utf8("content")), "unsealed");
  }
  for (const typed of known.mistyped) throws(() => invitation.readCode(typed), "a mistyped code");

  for (const [filter, topic, wanted] of known.filters) same(matches(filter, topic), wanted, `${filter} takes ${topic}`);
  for (const each of known.packets) {
    same(hex(packets.publish(each.topic, unhex(each.payload), each.id, { expiry: 5, correlation: unhex("0102") })), each.bytes, "a packet");
    const stream = unhex(each.bytes + "d000" + each.bytes);
    for (const size of [1, 3, stream.length]) {
      const splitter = new packets.Splitter(), found = [];
      for (let at = 0; at < stream.length; at += size) found.push(...splitter.feed(stream.slice(at, at + size)));
      same(found.map((packet) => packet.type), [3, 13, 3], `a stream in pieces of ${size}`);
      same([found[2].topic, hex(found[2].payload), hex(found[2].properties.correlation)], [each.topic, each.payload, "0102"], "a packet read");
    }
  }
  throws(() => new packets.Splitter().feed(unhex("30ffffffffff")), "a length of five bytes");

  const pairing = await load("pairing.js");
  await pairing.ready();
  const refused = async (work, code, what) => {
    count++;
    const error = await work().then(() => null, (found) => found);
    if (!error || (code && error.code !== code)) throw new Error(`${what}: ${error?.code ?? error}`);
  };
  // A handshake as it was published: what the client drew is given, each of its messages has to come out.
  for (const [name, each] of Object.entries(vectors.pairing)) {
    const isUltra = name.startsWith("ultra"), { steps, keys } = each;
    const fields = steps.find((step) => step.fields?.app_id !== undefined).fields;
    const draws = [unhex(keys.client_private), isUltra ? unhex(vectors.derived[0].nonce) : unhex(fields.nonce_abf)];
    const title = fields.name ?? new TextDecoder().decode(unhex(fields.name_wire)).replace(/\0+$/, "");
    const who = { name: title, appId: fields.app_id, pin: isUltra ? String(fields.security_pin) : null };
    const begin = () => {
      const left = [...draws];
      return new pairing.Pairing(who, () => left.shift());
    };
    same(upper(pairing.agree(unhex(keys.client_private), unhex(keys.lock_public))), keys.kdf1_shared_key, `${name}: the shared key`);
    const [sealed, reply] = vectors.derived.filter((one) => one.name.startsWith("ultra: encrypted")).map((one) => one.message);
    const sent = steps.filter((step) => step.dir === "client->lock").map((step) => step.message ?? sealed);
    const got = steps.filter((step) => step.dir === "lock->client").map((step) => step.message ?? reply);
    const run = async (answers, size) => {
      const attempt = begin(), assembler = new pairing.PairingFrames();
      let frame = attempt.start(), at = 0;
      for (; frame; at++) {
        if (answers === got) same(upper(frame), sent[at], `${name}: message ${at}`);
        assembler.encrypted = attempt.expectsEncrypted;
        const whole = [];
        for (let from = 0; from < answers[at].length; from += 2 * size) whole.push(...assembler.feed(unhex(answers[at].slice(from, from + 2 * size))));
        if (whole.length !== 1) throw new Error(`${name}: ${whole.length} frames of answer ${at} in pieces of ${size}`);
        frame = await attempt.receive(whole[0]);
      }
      same(at, got.length, `${name}: answers`);
      return attempt.result;
    };
    for (const size of [1, 20, 244]) {
      const result = await run(got, size);
      const granted = steps.find((step) => step.fields?.authorization_id !== undefined).fields;
      same([result.authorizationId, upper(result.key), upper(result.uuid)], [granted.authorization_id, keys.kdf1_shared_key, granted.uuid], name);
    }
    const spoilt = got.map((message) => message);
    const which = isUltra ? got.length - 1 : 3;
    spoilt[which] = isUltra ? spoilt[which].slice(0, -2) + "00" : upper(frames.plainFrame(7, unhex(spoilt[which]).slice(2, -2).map((byte, at) => (at === 3 ? byte ^ 1 : byte))));
    await refused(() => run(spoilt, 20), null, `${name}: the lock's proof is wrong`);
    const error = upper(frames.plainFrame(0x12, unhex("210600")));
    await refused(() => run(got.with(-1 - (isUltra ? 0 : 1), error), 20), "bad_pin", `${name}: a refusal at the end`);
    await refused(() => run([upper(frames.plainFrame(0x12, unhex("100100")))], 20), "not_pairing", `${name}: not in pairing mode`);
    await refused(() => run([upper(frames.plainFrame(3, new Uint8Array(32)))], 20), null, `${name}: a weak key`);
    if (isUltra) {
      const crypto = await load("crypto.js");
      const bare = crypto.seal(unhex(steps.at(-1).message_as_published), new Uint8Array(24), unhex(keys.kdf1_shared_key));
      const published = got.with(-1, upper(new Uint8Array(24)) + upper(u32(0x7fffffff)) + "2800" + upper(bare));
      same((await run(published, 244)).authorizationId, steps.at(-1).fields.authorization_id, `${name}: the last answer as published`);
      who.pin = null;
      await refused(() => run(got, 20), "pin_not_set", `${name}: no PIN`);
      who.pin = "1234";
      await refused(() => run(got, 20), "wrong_pin_length", `${name}: a short PIN`);
    }
  }
  same(hex(pairing.nameBytes("ä".repeat(17))), "c3a4".repeat(16), "a name of 34 bytes is cut to 32");
  same(hex(pairing.nameBytes("a" + "ä".repeat(16))), "61" + "c3a4".repeat(15) + "00", "no character is cut in two");
  return count;
};
