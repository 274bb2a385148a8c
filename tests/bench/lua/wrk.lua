-- One line of figures, for run.sh: requests, microseconds at the 50th and the 99th
-- percentile, errors, the microseconds that it took, bytes.
function done(summary, latency)
    local errors = summary.errors
    io.write(string.format("figures %d %d %d %d %d %d\n", summary.requests, latency:percentile(50),
        latency:percentile(99),
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        summary.duration, summary.bytes))
end
