// What an installation can be like, for tests that look at every view of each.
import { close, open } from "./browser.mjs";
import { Installation, eventually } from "./installation.mjs";

/** The text of the sentence that the overview begins with. */
export const sentence = (page) => page.locator("#verdict .verdict").innerText();

const inStep = async (page) => eventually("all to be in step", async () => (await sentence(page)).startsWith("In step:"));

/** What an installation can be like: each is made, shown to `look` with its console and views, and undone. */
export const states = {
  empty: async (_, look) => {
    const bare = await Installation.create({ bare: true });
    try {
      const { address } = await bare.console("empty");
      await look(address, ["/", "/mappings", "/mappings/users", "/tenants", "/tenants?all=1", "/tenants?q=nobody", "/quarantine", "/proof", "/operations"]);
    } finally {
      await bare.remove();
    }
  },
  busy: async ({ installation, acting, views }, look) => {
    installation.lockstep("pause", "mapping", "teams", "--reason", "to be looked at");
    installation.sql(`INSERT INTO lockstep.quarantine (destination, mapping_name, tenancy_id, sequence, code, error, uuid_1)
      SELECT 'clickhouse', 'users', id('engines'), n, 'LS-020' || n % 3, 'it was refused', md5(n::text)::uuid FROM generate_series(1, 60) n;
      UPDATE "Team" SET "displayName" = "displayName" || '.'`);
    try {
      await look(acting.address, [...views, "/quarantine?code=LS-0201", "/actions/drop?code=LS-0201", "/actions/resume?kind=mapping&name=teams"]);
    } finally {
      installation.sql("DELETE FROM lockstep.quarantine");
      installation.lockstep("resume", "mapping", "teams");
    }
  },
  broken: async ({ browser, installation, reading, views }, look) => {
    const page = await open(browser, reading.address);
    await page.goto(`${reading.address}/`);
    installation.proxy.fail(true);
    try {
      await eventually("unknown to be said", async () => (await sentence(page)).startsWith("Unknown:"));
      await look(reading.address, views);
    } finally {
      installation.proxy.fail(false);
      await inStep(page);
      await close(page);
    }
  },
};
