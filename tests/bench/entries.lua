-- Asks for /v1/things/ID, with so many ids, in order or at random:
--   wrk -s entries.lua ... -- COUNT in-order|at-random
-- Its line of figures is wrk.lua's.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "wrk.lua")

local template, count, in_order
local last = -1

function init(args)
    count, in_order = tonumber(args[1]), args[2] == "in-order"
    template = wrk.format(nil, "/v1/things/ID"):gsub("%%", "%%%%"):gsub("ID", "%%07d", 1)
    math.randomseed(os.time())
end

function request()
    last = in_order and (last + 1) % count or math.random(0, count - 1)
    return template:format(last)
end
