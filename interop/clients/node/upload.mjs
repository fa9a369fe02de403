// The AWS SDK for JavaScript, driven a line at a time: a JSON object per line in, {"status": 200} or
// {"error": "…"} out. Bodies are streams, which it uploads in chunks.

import { createRequire } from 'node:module'
import { Readable } from 'node:stream'
import { createInterface } from 'node:readline'

const require = createRequire(process.env.INTEROP_NODE_MODULES + '/')
const { S3Client, PutObjectCommand, UploadPartCommand } = require('@aws-sdk/client-s3')

function stream(body, size) {
  const pieces = []
  for (let at = 0; at < body.length; at += size) pieces.push(body.subarray(at, at + size))
  return Readable.from(pieces, { objectMode: false })
}

async function upload(line) {
  const client = new S3Client({
    endpoint: line.endpoint,
    region: line.region,
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: {
      accessKeyId: line.credentials.access_key_id,
      secretAccessKey: line.credentials.secret_access_key,
      sessionToken: line.credentials.session_token || undefined,
    },
  })
  const body = Buffer.from(line.body_base64, 'base64')
  const input = { Bucket: 'bucket', Key: 'a=b (1)', Body: stream(body, line.piece), ContentLength: body.length }
  try {
    const Command = { PutObject: PutObjectCommand, UploadPart: UploadPartCommand }[line.operation]
    return (await client.send(new Command({ ...input, ...line.input }))).$metadata.httpStatusCode
  } finally {
    client.destroy()
  }
}

for await (const text of createInterface({ input: process.stdin })) {
  let answer
  try {
    answer = { status: await upload(JSON.parse(text)) }
  } catch (why) {
    answer = { status: why.$metadata?.httpStatusCode, error: `${why}: ${why.cause ?? ''}` }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
