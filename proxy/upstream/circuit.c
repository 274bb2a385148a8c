#include "upstream/circuit.h"

#include "upstream/failure.h"

bool upstream_failure_is_reach(enum upstream_failure failure)
{
    return failure <= UPSTREAM_TLS_PROTOCOL;
}

bool circuit_is_open(const struct circuit *circuit, int64_t now_ms)
{
    return circuit->open_until_ms != 0 &&
           (now_ms < circuit->open_until_ms || circuit->is_probing);
}

bool circuit_admits(struct circuit *circuit, int64_t now_ms)
{
    if (circuit_is_open(circuit, now_ms))
        return false;
    circuit->is_probing = circuit->open_until_ms != 0;
    return true;
}

void circuit_note_success(struct circuit *circuit)
{
    *circuit = (struct circuit){0};
}

void circuit_note_failure(struct circuit *circuit, int64_t now_ms)
{
    circuit->failures++;
    circuit->is_probing = false;
    if (circuit->failures >= CIRCUIT_TOLERATES)
        circuit->open_until_ms = now_ms + CIRCUIT_OPEN_MS;
}

void circuit_note_abandoned(struct circuit *circuit)
{
    circuit->is_probing = false;
}
