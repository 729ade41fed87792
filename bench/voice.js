// What a page sends and plays, by the browser's own clock, in `window.watch`; run in the page before its own scripts.
// said, began: the last sample of a voice that was sent, and the first after a second of silence.
// loud: when the loudspeaker last got a sound. turns: when each was first heard. cuts: the interrupted ones.
// leaks: sound between an interruption and the next turn.
(() => {
  const watch = { said: null, began: null, loud: null, turns: [], latencies: [], cuts: [], leaks: 0, resumed: 0 };
  window.watch = watch;
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (data) {
    if (typeof data !== "string") heard(data);
    return send.call(this, data);
  };
  function heard(data) {
    const samples = new Int16Array(data.buffer ?? data, (data.byteOffset ?? 0) + 12);
    const now = performance.now();
    let first = -1, last = -1;
    for (let at = 0; at < samples.length; at += 1) {
      if (Math.abs(samples[at]) < 200) continue;
      if (first < 0) first = at;
      last = at;
    }
    if (last < 0) return;
    const time = (at) => now - (samples.length - 1 - at) / 16;
    if (watch.said === null || time(first) - watch.said > 1000) watch.began = time(first);
    watch.said = time(last);
  }
  addEventListener("DOMContentLoaded", () => {
    const timer = setInterval(() => {
      const player = window.parleyPlayer;
      if (!player?.socket) return;
      clearInterval(timer);
      follow(player);
    }, 20);
  });
  function follow(player) {
    player.addEventListener("first", ({ detail }) => {
      watch.turns.push({ turn: detail.turn, said: watch.said, at: detail.at + 1000 * player.latency });
    });
    player.socket.addEventListener("asked", () => (watch.cut = null)); // what sounds now is the new turn's
    player.socket.addEventListener("latency", ({ detail }) => watch.latencies.push(detail));
    for (const kind of ["pause", "clear"]) player.socket.addEventListener(kind, () => (watch.cut ??= { began: watch.began, told: performance.now() }));
    player.socket.addEventListener("resume", () => {
      watch.resumed += 1;
      watch.cut = null;
    });
    player.socket.addEventListener("interrupted", ({ detail }) => {
      if (watch.cut) watch.cuts.push({ ...watch.cut, loud: watch.loud, turn: detail.turn });
    });
    const buffer = new Float32Array(2048);
    const listen = () => {
      if (player.meter) {
        player.meter.getFloatTimeDomainData(buffer);
        const latest = buffer.subarray(2048 - 192); // 8 ms
        if (latest.some((sample) => Math.abs(sample) > 0.0005)) {
          watch.loud = performance.now();
          if (watch.cut && !watch.cut.leaked && watch.loud - watch.cut.told > 50) {
            watch.cut.leaked = true;
            watch.leaks += 1;
          }
        }
      }
      setTimeout(listen, 4);
    };
    listen();
  }
})();
