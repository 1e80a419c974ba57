// A daemon on a free port with the built-in checkpoint, and what it logs.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

const READY_WITHIN = 120_000;

/** `{ url, log(), stop() }`, ready to serve. */
export async function startDaemon(...flags) {
  const { REVERIE, WORK } = process.env;
  const daemon = spawn(REVERIE, ["serve", "--port", "0", "--cache-dir", `${WORK}/cache`, ...flags]);
  let log = "";
  for (const stream of [daemon.stdout, daemon.stderr]) stream.on("data", (text) => (log += text));
  const until = Date.now() + READY_WITHIN;
  let found = null;
  while (!(found = /ready at (http:\S+)/.exec(log))) {
    if (daemon.exitCode !== null || Date.now() > until) throw new Error(`the daemon did not start:\n${log}`);
    await sleep(100);
  }
  const stop = async () => {
    daemon.kill("SIGTERM");
    if (daemon.exitCode === null) await once(daemon, "exit");
  };
  return { url: found[1], log: () => log, stop };
}
