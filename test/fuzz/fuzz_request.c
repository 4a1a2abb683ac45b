/* SPDX-License-Identifier: BSD-3-Clause */
/* What a peer asks of the agent: any request, with payloads of any size, against
 * windows of several sizes on memory whose ends are guarded. */
#include <string.h>

#include "../../core/window.h"
#include "fuzz.h"

#define PAYLOAD_MAX 4096u

struct input {
    struct tmbi_request request;
    uint8_t window; /* which one; of other values, what the request says */
    uint8_t fit;    /* 1, 2: the payload in, out is as long as the request says */
    uint16_t in_bytes, out_bytes;
};

static const size_t sizes[] = {0, 1, 8, 100, 4096};
#define WINDOWS (sizeof(sizes) / sizeof(*sizes))
static tmb_win *windows[WINDOWS];

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    FUZZ_CHECK(!tmb_init(TMB_THREAD_SINGLE));
    for (size_t i = 0; i < WINDOWS; i++)
        FUZZ_CHECK(!tmb_win_create(TMB_TEAM_WORLD, sizes[i] ? malloc(sizes[i]) : NULL,
                                   sizes[i], 0, &windows[i]));
    return 0;
}

static size_t payload_bytes(const struct input *input, bool fits, uint16_t otherwise)
{
    const struct tmbi_request *r = &input->request;
    uint64_t element = r->kind == TMBI_REQUEST_ACCUMULATE ? (r->type & 1 ? 8 : 4) : 1;

    if (fits && r->count <= PAYLOAD_MAX / element)
        return r->count * element;
    return otherwise % (PAYLOAD_MAX + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct input input;
    size_t in_bytes, out_bytes;
    uint8_t *in, *out;
    int rc;

    if (bytes < sizeof(input))
        return 0;
    memcpy(&input, data, sizeof(input));
    if (input.window < WINDOWS)
        input.request.window = windows[input.window]->number;
    in_bytes = payload_bytes(&input, input.fit & 1, input.in_bytes);
    out_bytes = payload_bytes(&input, input.fit & 2, input.out_bytes);
    in = calloc(1, in_bytes);
    out = calloc(1, out_bytes);
    FUZZ_CHECK(in && out);
    if (bytes - sizeof(input) >= in_bytes)
        memcpy(in, data + sizeof(input), in_bytes);
    rc = tmbi_request_execute(&input.request, in, in_bytes, out, out_bytes);
    /* -EAGAIN: a call, and this process has no handler. */
    FUZZ_CHECK(rc == 0 || rc == -EPROTO || rc == -EAGAIN);
    free(in);
    free(out);
    return 0;
}
