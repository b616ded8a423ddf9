-- What a line becomes: the document and the id that the gateway reads, as the Collector's agent makes them
-- (infra/logging/base/agent.yml). An error here would leave a whole chunk of lines as it came, without ids: nothing
-- is taken for granted of a record.
local node = os.getenv("NODE_NAME")

local function text(value)
  return type(value) == "string" and value or ""
end

-- In UTC with nine digits, by which a line that is read twice has one id. What has no time, since no runtime wrote it
-- (half of a line after a loss of power), gets that of its reading.
local function utc(time, timestamp)
  local date, fraction, sign, hours, minutes =
    string.match(time, "^(%d+%-%d+%-%d+T%d+:%d+:%d+)%.?(%d*)([Z+-])(%d*):?(%d*)$")
  if not date then
    date, fraction = os.date("!%Y-%m-%dT%H:%M:%S", timestamp), string.format("%09d", timestamp % 1 * 1e9)
  elseif sign ~= "Z" then
    local year, month, day, hour, minute, second = string.match(date, "(%d+)%-(%d+)%-(%d+)T(%d+):(%d+):(%d+)")
    local moment = os.time({year = year, month = month, day = day, hour = hour, min = minute, sec = second})
    local offset = tonumber(sign .. "1") * ((tonumber(hours) or 0) * 3600 + (tonumber(minutes) or 0) * 60)
    date = os.date("%Y-%m-%dT%H:%M:%S", moment - offset)
  end
  return date .. "." .. string.sub(fraction .. "000000000", 1, 9) .. "Z"
end

-- Whose it is and when it was written goes into the metadata, where no key of a JSON line replaces it; the record is
-- the line alone.
function read(tag, timestamp, group, metadata, record)
  local namespace, pod, uid, container, restarts =
    string.match(text(record.path), "/([^/_]+)_([^/_]+)_([^/_]+)/([^/]+)/(%d+)%.log")
  local log, stream = text(record.log), type(record.stream) == "string" and record.stream or nil
  -- Of the runtime, not the line's own `time`.
  local time = utc(text(record.time), timestamp)
  -- In characters, as the Collector counts: no byte that goes on with one begins another.
  local _, length = string.gsub(log, "[^\128-\191]", "")
  local origin = {
    time = time,
    -- The same line read twice is one document.
    id = table.concat({uid or "", container or "", restarts or "", stream or "", time, length}, "/"),
    kubernetes = {
      node = node,
      namespace = namespace,
      pod = pod,
      uid = uid,
      container = container,
      restarts = restarts,
      stream = stream,
    },
  }
  -- What goes on after an object is text: the parser would take the object and forget the rest.
  origin.is_text = not string.find(log, "^{.*}$")
  return 1, timestamp, {origin = origin}, {[origin.is_text and "text" or "message"] = log}
end

-- After the parser of JSON: one document, and its id as an attribute of OpenTelemetry's record.
function complete(tag, timestamp, group, metadata, record)
  local origin = metadata.origin
  if origin.is_text then
    record = {message = record.text}
  end
  record["@timestamp"] = origin.time
  record.kubernetes = origin.kubernetes
  local attributes = {["elasticsearch.document_id"] = origin.id}
  return 1, timestamp, {otlp = {attributes = attributes}}, {document = record}
end
