// aws4 and aws4fetch, driven a line at a time: node client.mjs CLIENT, with the packages' directory
// in INTEROP_NODE_MODULES. A JSON object per line in, {"status": 200} or {"error": "…"} out.
import http from 'node:http'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const require = createRequire(process.env.INTEROP_NODE_MODULES + '/')

async function aws4(line) {
  const { sign } = require('aws4')
  const { hostname, port } = new URL(line.endpoint)
  const headers = {}
  for (const [name, value] of line.headers) {
    headers[name] = name in headers ? [headers[name], value].flat() : value
  }
  const request = {
    hostname,
    port,
    method: line.method,
    path: line.target,
    headers,
    service: line.service,
    region: line.region,
    signQuery: line.presign,
  }
  // A URL that is handed on is signed without the body that will come.
  if (line.body.length && !line.presign) request.body = line.body
  const signed = sign(request, {
    accessKeyId: line.credentials.access_key_id,
    secretAccessKey: line.credentials.secret_access_key,
    sessionToken: line.credentials.session_token || undefined,
  })
  if (line.presign && line.body.length) signed.headers['Content-Length'] = line.body.length
  return new Promise((resolve, reject) => {
    const sent = http.request(signed, (answer) => {
      answer.resume()
      answer.on('end', () => resolve(answer.statusCode))
    })
    sent.on('error', reject)
    sent.end(line.body)
  })
}

async function aws4fetch(line) {
  const { AwsClient } = require('aws4fetch')
  const client = new AwsClient({
    accessKeyId: line.credentials.access_key_id,
    secretAccessKey: line.credentials.secret_access_key,
    sessionToken: line.credentials.session_token || undefined,
    service: line.service,
    region: line.region,
    retries: 0,
  })
  const headers = new Headers()
  for (const [name, value] of line.headers) headers.append(name, value)
  const init = { method: line.method, headers }
  if (line.body.length) init.body = line.body
  const url = line.endpoint + line.target
  if (!line.presign) return finish(await client.fetch(url, init))
  const { url: signed } = await client.sign(url, { method: line.method, aws: { signQuery: true } })
  return finish(await fetch(signed, init))
}

async function finish(answer) {
  await answer.arrayBuffer()
  return answer.status
}

const client = { aws4, aws4fetch }[process.argv[2]]
for await (const text of createInterface({ input: process.stdin })) {
  let answer
  try {
    const line = JSON.parse(text)
    line.body = Buffer.from(line.body_base64, 'base64')
    answer = { status: await client(line) }
  } catch (why) {
    answer = { error: `${why}: ${why.cause ?? ''}` }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
