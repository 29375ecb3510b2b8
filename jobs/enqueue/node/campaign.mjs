// Gives Remesa a job, waits for its end, reads the results: node campaign.mjs JOB.json [REDIS_URL]
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import Redis from 'ioredis';
const [QUEUE, RESULTS, GROUP] = ['remesa:jobs:generate', 'remesa:results', 'my-crm'];

/** The job's status, once our entry has left the queue (before, it may be an older job's) and the job has ended. */
async function ended(db, id, entry) {
  for (let tries = 0; tries < 3000; tries++, await sleep(200)) {
    if ((await db.xrange(QUEUE, entry, entry)).length > 0) continue;
    for (const name of [`generate:${entry}`, id]) { // an id that another job holds is refused under the entry's name
      const status = await db.hgetall(`remesa:job:${name}`);
      if (['done', 'dead', 'rejected'].includes(status.state)) return status;
    }
  }
  throw new Error(`${id} has not ended after 10 minutes`);
}
/** Hands each event to `store` and then acknowledges it, until the run is over and nothing is left. */
async function readResults(db, runKey, store) {
  await db.xgroup('CREATE', RESULTS, GROUP, '0', 'MKSTREAM').catch((error) => {
    if (!error.message.startsWith('BUSYGROUP')) throw error; // else it is there already
  });
  for (let over, count; !over || count;) {
    [over, count] = [(await db.hget(runKey, 'state')) !== 'running', 0];
    for (const cursor of ['0', '>']) { // what this consumer took and did not acknowledge, then what is new
      const which = ['COUNT', 100, 'BLOCK', 1000, 'STREAMS', RESULTS, cursor];
      for (const [entry, fields] of (await db.xreadgroup('GROUP', GROUP, hostname(), ...which))?.[0][1] ?? []) {
        if (fields) await store(fields[5]); // the fields are event, its id, type, its kind, data, its JSON
        count += await db.xack(RESULTS, GROUP, entry);
      }
    }
  }
}
const [job, db] = [JSON.parse(readFileSync(process.argv[2], 'utf8')), new Redis(process.argv[3] ?? process.env.REDIS_URL)];
const entry = await db.xadd(QUEUE, '*', 'job', JSON.stringify(job)); // ioredis tries again: the id makes that safe
const { state, run, error_code: code, error } = await ended(db, job.id, entry);
if (state === 'done') await readResults(db, `remesa:{${job.campaign}}:run:${run}`, console.log);
else console.error(`${job.id} is ${state}: ${code}: ${error}`);
process.exit(state === 'done' ? 0 : 1);
