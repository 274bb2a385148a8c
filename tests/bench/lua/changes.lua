-- Changes things:
--   wrk -s changes.lua ... -- METHOD [JSON-BODY]
-- Its line of figures is wrk.lua's.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "wrk.lua")

function init(args)
    wrk.method, wrk.body = args[1], args[2]
    if wrk.body then
        wrk.headers["Content-Type"] = "application/json"
    end
end
