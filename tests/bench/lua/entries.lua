-- Asks for /v1/things/ID, with so many ids, in order or at random; with a file of tokens, as one of
-- its first so many clients:
--   wrk -s entries.lua ... -- COUNT in-order|at-random [TOKENS CLIENTS]
-- Its line of figures is wrk.lua's.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "wrk.lua")

local template, count, in_order
local tokens, last = {}, -1

local function escape(text)
    return (text:gsub("%%", "%%%%"))
end

function init(args)
    count, in_order = tonumber(args[1]), args[2] == "in-order"
    for token in io.lines(args[3] or "/dev/null") do
        tokens[#tokens + 1] = token
        if #tokens == tonumber(args[4]) then
            break
        end
    end
    if #tokens > 0 then
        wrk.headers["Authorization"] = "Bearer TOKEN"
    end
    template = escape(wrk.format(nil, "/v1/things/ID")):gsub("ID", "%%07d", 1):gsub("TOKEN", "%%s", 1)
    math.randomseed(os.time())
end

function request()
    last = in_order and (last + 1) % count or math.random(0, count - 1)
    return template:format(last, tokens[math.random(1, math.max(#tokens, 1))])
end
