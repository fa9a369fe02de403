// The AWS SDK for JavaScript, driven a line at a time: a JSON object per line in, with the name of a command of
// S3 and its input; its output, or {"code": "…"}, per line out. A body is bytes in memory, or a stream, which it
// uploads in chunks.

import { createRequire } from 'node:module'
import { Readable } from 'node:stream'
import { createInterface } from 'node:readline'

const require = createRequire(process.env.INTEROP_NODE_MODULES + '/')
const s3 = require('@aws-sdk/client-s3')

// The key is in the environment, where the SDK looks for it.
const [endpoint, region] = process.argv.slice(2)
const client = new s3.S3Client({ endpoint, region, forcePathStyle: true, maxAttempts: 1 })

async function perform(line) {
  const input = { ...line.input }
  if (line.body_base64 !== undefined) {
    const body = Buffer.from(line.body_base64, 'base64')
    input.Body = line.stream ? Readable.from([body], { objectMode: false }) : body
    input.ContentLength = body.length
  }
  const { $metadata, Body, ...output } = await client.send(new s3[line.command](input))
  if (Body) output.body_base64 = Buffer.from(await Body.transformToByteArray()).toString('base64')
  return { status: $metadata.httpStatusCode, ...output }
}

for await (const text of createInterface({ input: process.stdin })) {
  let answer
  try {
    answer = await perform(JSON.parse(text))
  } catch (why) {
    answer = { status: why.$metadata?.httpStatusCode, code: why.name, error: `${why}` }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
