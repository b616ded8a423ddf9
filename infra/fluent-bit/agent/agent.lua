-- What a line becomes: the document and the id that the gateway reads, as the Collector's agent makes them
-- (infra/logging/base/agent.yml).
local node = os.getenv("NODE_NAME")

-- Whose it is and when it was written goes into the metadata, where no key of a JSON line replaces it; the record is
-- the line alone.
function read(tag, timestamp, group, metadata, record)
  local namespace, pod, uid, container, restarts =
    string.match(record.path, "/([^/_]+)_([^/_]+)_([^/_]+)/([^/]+)/(%d+)%.log")
  -- Of the runtime, not the line's own `time`; always nine digits.
  local second, fraction = string.match(record.time, "^([%d-]+T[%d:]+)%.?(%d*)Z")
  local time = second and second .. "." .. string.sub(fraction .. "000000000", 1, 9) .. "Z" or record.time
  -- In characters, as the Collector counts: no byte that goes on with one begins another.
  local _, length = string.gsub(record.log, "[^\128-\191]", "")
  local origin = {
    time = time,
    -- The same line read twice is one document.
    id = table.concat({uid, container, restarts, record.stream, time, length}, "/"),
    kubernetes = {
      node = node,
      namespace = namespace,
      pod = pod,
      uid = uid,
      container = container,
      restarts = restarts,
      stream = record.stream,
    },
  }
  return 1, timestamp, {origin = origin}, {message = record.log}
end

-- After the parser of JSON: one document, and its id as an attribute of OpenTelemetry's record.
function complete(tag, timestamp, group, metadata, record)
  local origin = metadata.origin
  record["@timestamp"] = origin.time
  record.kubernetes = origin.kubernetes
  local attributes = {["elasticsearch.document_id"] = origin.id}
  return 1, timestamp, {otlp = {attributes = attributes}}, {document = record}
end
