// A Lockstep of the test's own: a database, the programs as processes, a proxy before Postgres that fails on command.
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "../..");
const needed = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run \`cargo xtask test console\``);
  return value;
};

/** Waits for a condition, and says what was awaited where it does not come. */
export async function eventually(what, condition, deadlineMs = 30_000) {
  const until = Date.now() + deadlineMs;
  let last;
  while (Date.now() < until) {
    try {
      if (await condition()) return;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`not within ${deadlineMs} ms: ${what}`, { cause: last });
}

/** Passes bytes on to Postgres, until it is told to fail. */
class Proxy {
  constructor(port) {
    this.failing = false;
    this.sockets = new Set();
    this.server = net.createServer((client) => {
      if (this.failing) return client.destroy();
      const server = net.connect(port, "127.0.0.1");
      for (const [from, to] of [[client, server], [server, client]]) {
        this.sockets.add(from);
        from.on("error", () => {}).on("close", () => {
          this.sockets.delete(from);
          to.destroy();
        });
        from.pipe(to);
      }
    });
  }
  async listen() {
    await new Promise((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    return this.server.address().port;
  }
  fail(failing) {
    this.failing = failing;
    if (failing) this.sockets.forEach((socket) => socket.destroy());
  }
  close() {
    this.fail(true);
    this.server.close();
  }
}

export class Installation {
  /** With the world of tests/world.sql and programs that run, or bare: only migrated, and nothing runs. */
  static async create({ bare = false } = {}) {
    const made = new Installation();
    await made.start(bare);
    return made;
  }

  async start(bare) {
    this.suffix = randomBytes(6).toString("hex");
    this.server = needed("LOCKSTEP_SOURCE_URL");
    const url = new URL(this.server);
    url.pathname = `/lockstep_console_${this.suffix}`;
    this.database = url.toString();
    this.proxy = new Proxy(Number(url.port));
    url.port = String(await this.proxy.listen());
    url.hostname = "127.0.0.1";
    this.throughProxy = url.toString();
    this.logs = path.join(root, ".lockstep/logs");
    mkdirSync(this.logs, { recursive: true });
    this.children = [];
    this.psql(this.server, `CREATE DATABASE lockstep_console_${this.suffix}`);
    this.lockstep("migrate", "--standalone");
    if (bare) return;
    this.sql(readFileSync(path.join(root, "tests/world.sql"), "utf8"));
    this.daemon("lockstep-sequencer", []);
    this.daemon("lockstep-worker", []);
    this.lockstep("wait", "--all", "--timeout", "60");
  }

  environment(source = this.database) {
    return {
      ...process.env,
      LOCKSTEP_SOURCE_URL: source,
      LOCKSTEP_CLICKHOUSE_RAW_DATABASE: `lockstep_raw_${this.suffix}`,
      LOCKSTEP_CLICKHOUSE_VIEW_DATABASE: `lockstep_views_${this.suffix}`,
      LOCKSTEP_QUEUE_PREFIX: `lockstep-${this.suffix}`,
      LOCKSTEP_LISTEN: "127.0.0.1:0",
    };
  }

  program(name) {
    return path.join(needed("LOCKSTEP_BIN_DIR"), name);
  }

  psql(database, statements) {
    const options = ["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-d", database];
    return execFileSync("psql", options, { input: statements, encoding: "utf8", stdio: "pipe" }).trim();
  }

  sql(statements) {
    return this.psql(this.database, statements);
  }

  async clickhouse(statement) {
    const answer = await fetch(needed("LOCKSTEP_CLICKHOUSE_URL"), {
      method: "POST",
      body: statement.replaceAll("{raw}", `lockstep_raw_${this.suffix}`),
      headers: {
        "X-ClickHouse-User": process.env.LOCKSTEP_CLICKHOUSE_USER || "default",
        "X-ClickHouse-Key": process.env.LOCKSTEP_CLICKHOUSE_PASSWORD || "",
      },
    });
    if (!answer.ok) throw new Error(await answer.text());
    return (await answer.text()).trim();
  }

  lockstep(...args) {
    return execFileSync(this.program("lockstep"), args, { env: this.environment(), encoding: "utf8", stdio: "pipe" }).trim();
  }

  verify() {
    try {
      execFileSync(this.program("lockstep-verifier"), [], { env: this.environment(), stdio: "ignore" });
    } catch (error) {
      // In flight is no failure of the run.
      if (error.status !== 2) throw error;
    }
  }

  daemon(name, args, changed = {}, label = name) {
    const file = path.join(this.logs, `${label}-${this.suffix}.log`);
    const log = openSync(file, "a");
    const env = { ...this.environment(), ...changed };
    const child = spawn(this.program(name), args, { env, stdio: ["ignore", log, log] });
    child.log = file;
    this.children.push(child);
    return child;
  }

  /** Starts a console, and returns where it is. */
  async console(label, ...args) {
    const secret = path.join(this.logs, `link-secret-${this.suffix}`);
    writeFileSync(secret, "0123456789abcdef0123456789abcdef\n", { mode: 0o600 });
    this.secret = secret;
    const options = ["console", "--console-listen", "127.0.0.1:0", "--link-secret-file", secret, ...args];
    const changed = { LOCKSTEP_SOURCE_URL: this.throughProxy };
    const child = this.daemon("lockstep", options, changed, `console-${label}`);
    let address;
    await eventually("the console to say its address", () => {
      if (child.exitCode !== null) throw new Error(readFileSync(child.log, "utf8"));
      address = /http:\/\/[0-9.:]+/.exec(readFileSync(child.log, "utf8"))?.[0];
      return address !== undefined;
    });
    return { address, said: () => readFileSync(child.log, "utf8") };
  }

  async remove() {
    this.proxy.close();
    await Promise.all(
      this.children.map((child) => {
        if (child.exitCode !== null || child.signalCode !== null) return null;
        const ended = new Promise((resolve) => child.once("exit", resolve));
        child.kill("SIGTERM");
        const hard = setTimeout(() => child.kill("SIGKILL"), 10_000);
        return ended.finally(() => clearTimeout(hard));
      }),
    );
    for (const kind of ["raw", "views"]) {
      await this.clickhouse(`DROP DATABASE IF EXISTS lockstep_${kind}_${this.suffix} SYNC`);
    }
    this.psql(this.server, `DROP DATABASE lockstep_console_${this.suffix} WITH (FORCE)`);
  }
}
