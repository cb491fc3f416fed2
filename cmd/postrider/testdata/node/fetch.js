// Fetches mail with a POP3 client from npm. It reads a job from standard input:
//
//   client          node-pop3, yapople or mailpop3
//   host, port      the server
//   secure, stls    implicit TLS; TLS by STLS
//   user, password  the account
//   login           APOP or CRAM-MD5, where not USER and PASS
//   lines           of each message's body that are asked for with TOP
//   remove          the numbers of the messages to remove
//
// and prints what the client was told: sizes and, where the client knows them,
// uids, each as [number, value]; tops and messages (base64).
'use strict';
const fs = require('node:fs');
const { open } = require('./pop3.js');
const { tunnel } = require('./stls.js');

async function main() {
  const job = JSON.parse(fs.readFileSync(0, 'utf8'));
  if (job.stls) Object.assign(job, { host: '127.0.0.1', port: await tunnel(job.host, job.port) });
  const client = await open[job.client](job);
  const told = { sizes: await client.list(), tops: [], messages: [] };
  if (client.uidl) told.uids = await client.uidl();
  for (const [n] of told.sizes) {
    told.tops.push((await client.top(n, job.lines)).toString('base64'));
    told.messages.push((await client.retr(n)).toString('base64'));
  }
  for (const n of job.remove) await client.dele(n);
  await client.quit();
  return JSON.stringify(told);
}

main().then((told) => process.stdout.write(told, () => process.exit(0)), (err) => {
  console.error(err);
  process.exit(1);
});
