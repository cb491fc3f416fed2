// Asks a sink through the clients that tests written for Mailpit and MailHog use, as
// they are. It reads a job from standard input, { url, port, mail }: the API, the port of
// SMTP, and a message for nodemailer. Whatever is not as such a test expects throws.
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const nodemailer = require('nodemailer');
const { MailpitClient } = require('mailpit-api');

const job = JSON.parse(fs.readFileSync(0, 'utf8'));
const transporter = nodemailer.createTransport({ host: '127.0.0.1', port: job.port, auth: { user: 'any', pass: 'any' } });

async function mailpit() {
  const api = new MailpitClient(job.url);
  await api.deleteMessages();
  const waiting = api.waitForMessage({ query: 'subject:"your order"' }, { timeout: 20000 });
  const { response } = await transporter.sendMail({ ...job.mail, bcc: 'hidden@example.com' });
  const message = await waiting;
  assert.equal(response.split(' ').pop(), message.ID);
  assert.equal(message.Subject, job.mail.subject);
  assert.deepEqual(message.Bcc.map((a) => a.Address), ['hidden@example.com']);
  assert.equal(message.Attachments.length, 1);
  const file = await api.getMessageAttachment(message.ID, message.Attachments[0].PartID);
  assert.equal(await file.text(), job.mail.attachments[0].content);
  await api.getAttachmentThumbnail(message.ID, message.Attachments[0].PartID);
  assert.match((await api.getMessageSource()), /^Bcc: hidden@example\.com\r$/m);
  assert.equal((await api.getMessageHeaders()).Subject.length, 1);
  assert.equal((await api.listMessages()).messages_count, 1);
  assert.equal((await api.getMessageSummary('latest')).ID, message.ID);
  assert.match(await api.renderMessageHTML(message.ID, 1), /<b>order<\/b>/);
  assert.match(await api.renderMessageText(), /order/);
  assert.ok((await api.htmlCheck()).Total.Nodes > 0);
  assert.equal((await api.linkCheck()).Links.length, 1);
  assert.equal((await api.getInfo()).Messages, 1);
  assert.equal((await api.getConfiguration()).ChaosEnabled, true);

  await api.setReadStatus({ IDs: [message.ID], Read: false });
  assert.equal((await api.listMessages()).unread, 1);
  await api.setTags({ IDs: [message.ID], Tags: ['one', 'two words'] });
  assert.deepEqual(await api.getTags(), ['one', 'two words']);
  await api.renameTag('two words', 'two/three');
  await api.deleteTag('one');
  assert.deepEqual(await api.getTags(), ['two three']);

  const sent = await api.sendMessage({ From: { Email: 'a@b.test' }, To: [{ Email: 'c@d.test' }], Subject: 'made', Text: 'x' });
  assert.equal((await api.searchMessages({ query: 'subject:made' })).messages[0].ID, sent.ID);
  await api.deleteMessagesBySearch({ query: 'subject:made' });
  assert.equal((await api.listMessages()).total, 1);

  await api.setChaosTriggers({ Recipient: { ErrorCode: 452, Probability: 100 } });
  await assert.rejects(transporter.sendMail(job.mail), (e) => e.responseCode === 452);
  assert.equal((await api.setChaosTriggers()).Recipient.Probability, 0);
  await transporter.sendMail(job.mail);
  await api.deleteMessages({ IDs: [message.ID] });
  assert.equal((await api.listMessages()).total, 1);
}

async function mailhog() {
  const { hostname, port } = new URL(job.url);
  const api = require('mailhog')({ protocol: 'http:', host: hostname, port: Number(port) });
  await api.deleteAll();
  // It looks for text and HTML on the first level only.
  await transporter.sendMail({ ...job.mail, attachments: [] });
  await transporter.sendMail({ ...job.mail, html: undefined });
  const { count, items } = await api.messages();
  assert.equal(count, 2);
  assert.equal(items[0].subject.replaceAll('_', ' '), job.mail.subject); // it leaves the Q encoding's underscores
  assert.equal(items[0].attachments.length, 1);
  assert.match(items[1].text, /order/);
  assert.match(items[1].html, /<b>order<\/b>/);
  assert.equal((await api.search('bob@example.com', 'to')).count, 2);
  assert.equal((await api.latestFrom('alice@example.com')).ID, items[0].ID);
  assert.equal((await api.latestContaining('order')).ID, items[0].ID);
  await api.deleteMessage(items[0].ID);
  assert.equal((await api.messages()).count, 1);
}

// The commands of cypress-mailpit, as Cypress would run them, which chains their promises.
async function cypress() {
  const file = require.resolve('cypress-mailpit').replace(/index\.js$/, 'src/MailpitCommands.js');
  globalThis.Cypress = { expose: () => job.url, config: () => 4000 };
  globalThis.cy = {
    env: async () => ({}),
    wrap: async (value) => value,
    wait: (ms) => new Promise((done) => { setTimeout(done, ms); }),
    async request({ method, url, qs, body }) {
      const query = qs ? '?' + new URLSearchParams(qs) : '';
      const answer = await fetch(url + query, { method, body: body && JSON.stringify(body), headers: body && { 'content-type': 'application/json' } });
      const text = await answer.text();
      // Without a word of the test's it fails for every other status.
      if (answer.status >= 400) throw new Error(`${method} ${url}: ${answer.status} ${text}`);
      return { status: answer.status, body: /json/.test(answer.headers.get('content-type')) ? JSON.parse(text) : text };
    },
  };
  const { MailpitCommands } = await import('data:text/javascript,' + encodeURIComponent(fs.readFileSync(file, 'utf8')));
  const c = new MailpitCommands();
  await c.mailpitDeleteAllEmails();
  assert.equal((await c.mailpitGetAllMails()).messages.length, 0);
  await assert.rejects(c.mailpitGetMail(), /404/);
  await c.mailpitNotHasEmailsBySubject('Hello');
  const waiting = c.mailpitHasEmailsBySubject('order');
  await transporter.sendMail(job.mail);
  assert.equal((await waiting).messages_count, 1);
  await c.mailpitSendMail();
  await c.mailpitHasEmailsByTo('jane@example.com');
  const made = await c.mailpitGetMail();
  assert.equal(await c.mailpitGetSubject(made), 'Hello Mailpit');
  assert.deepEqual(await c.mailpitGetRecipientAddress(made), ['jane@example.com']);
  assert.equal(await c.mailpitGetFromAddress(made), 'from@example.com');
  assert.deepEqual(await c.mailpitGetAttachments(made), []);
  assert.match(await c.mailpitGetMailHTMlBody(made), /<p>hello from mailpit<\/p>/);
  assert.match(await c.mailpitGetMailTextBody(made), /^hello from mailpit/);
  await c.mailpitSetAllEmailStatusAsRead();
  assert.equal((await c.mailpitGetAllMails(0, 1)).unread, 0);
  await c.mailpitSetStatusAsUnRead(made);
  assert.equal((await c.mailpitSearchEmails('is:unread')).messages[0].ID, made.ID);
  await c.mailpitSetAllEmailStatusAsUnRead();
  assert.equal((await c.mailpitGetAllMails()).unread, 2);
  await c.mailpitDeleteEmailsBySearch('to:jane@example.com');
  await c.mailpitNotHasEmailsByTo('jane@example.com');
  assert.equal((await c.mailpitGetEmailsBySubject('order')).messages_count, 1);
}

mailpit().then(mailhog).then(cypress).then(() => {
  transporter.close();
  console.log('true');
}).catch((e) => {
  console.error(e);
  process.exit(1);
});
