// Sends mail with nodemailer. It reads a job from standard input:
//
//   transport  the options of nodemailer.createTransport
//   messages   the options of sendMail, an object each, all given to it at once
//
// and prints a list with an object for each message: built (base64), the octets
// that nodemailer made of it; accepted and rejected, the addresses; response,
// the server's last words; error and responseCode where sending failed.
'use strict';
const fs = require('node:fs');
const { Transform } = require('node:stream');
const nodemailer = require('nodemailer');

const job = JSON.parse(fs.readFileSync(0, 'utf8'));
const transporter = nodemailer.createTransport(job.transport);

// Here passes the finished message, before it is made fit for DATA (RFC 5321
// section 4.5.2).
transporter.use('stream', (mail, done) => {
  mail.message.processFunc((message) => message.pipe(new Transform({
    transform(chunk, encoding, next) {
      mail.data.built.push(chunk);
      next(null, chunk);
    },
  })));
  done();
});

async function send(message) {
  const built = [];
  let answer;
  try {
    const { accepted, rejected, response } = await transporter.sendMail({ ...message, built });
    answer = { accepted, rejected, response };
  } catch ({ message: error, responseCode }) {
    answer = { error, responseCode };
  }
  return { ...answer, built: Buffer.concat(built).toString('base64') };
}

Promise.all(job.messages.map(send)).then((answers) => {
  transporter.close();
  console.log(JSON.stringify(answers));
});
