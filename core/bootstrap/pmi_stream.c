/* SPDX-License-Identifier: BSD-3-Clause */
#include "pmi_stream.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "../log.h"
#include "pmi_text.h"
#include "stream.h"

int tmbi_pmi_gone(struct tmbi_pmi_stream *pmi, int rc)
{
    pmi->broken = true;
    if (rc == -ETIMEDOUT)
        tmbi_error(
            "PMI_FD=%d: the launcher does not answer (TMB_INIT_TIMEOUT is how long "
            "to wait)",
            pmi->fd);
    else if (rc == -EMSGSIZE)
        tmbi_error("PMI_FD=%d: the launcher answered garbage: a line of more than %u "
                   "bytes",
                   pmi->fd, TMBI_PMI_LINE);
    else
        tmbi_error("PMI_FD=%d: the launcher is gone: its socket is closed", pmi->fd);
    return rc;
}

int tmbi_pmi_garbage(struct tmbi_pmi_stream *pmi, const char *asked, const char *answer)
{
    pmi->broken = true;
    tmbi_error("PMI_FD=%d: the launcher answered \"%.100s\" to \"%.60s\": is it PMI-1 "
               "that it speaks?",
               pmi->fd, answer, asked);
    return -EPROTO;
}

/* Take a line out of what was received; without its end. */
static bool line_take(struct tmbi_pmi_stream *pmi, char line[TMBI_PMI_LINE])
{
    char *end = memchr(pmi->line, '\n', pmi->held);
    size_t length;

    if (!end)
        return false;
    length = (size_t)(end - pmi->line);
    memcpy(line, pmi->line, length);
    line[length] = '\0';
    pmi->held -= length + 1;
    memmove(pmi->line, end + 1, pmi->held);
    return true;
}

static int line_receive(struct tmbi_pmi_stream *pmi, char line[TMBI_PMI_LINE],
                        int64_t deadline)
{
    while (!line_take(pmi, line)) {
        ssize_t got;
        int rc = 0;

        if (pmi->held == sizeof pmi->line)
            return -EMSGSIZE;
        got = recv(pmi->fd, pmi->line + pmi->held, sizeof pmi->line - pmi->held,
                   MSG_DONTWAIT);
        if (got > 0)
            pmi->held += (size_t)got;
        else if (got < 0 && errno == EAGAIN)
            rc = tmbi_stream_wait(pmi->fd, POLLIN, deadline);
        else if (got == 0 || errno != EINTR)
            rc = -ECONNRESET;
        if (rc)
            return rc;
    }
    return 0;
}

int tmbi_pmi_exchange(struct tmbi_pmi_stream *pmi, const char *asked, size_t bytes,
                      char answer[TMBI_PMI_LINE], int64_t deadline)
{
    int rc = tmbi_stream_send(pmi->fd, asked, bytes, deadline);

    return rc ? rc : line_receive(pmi, answer, deadline);
}

int tmbi_pmi_ask(struct tmbi_pmi_stream *pmi, const char *expected,
                 char answer[TMBI_PMI_LINE], int64_t deadline, const char *format, ...)
{
    char asked[TMBI_PMI_LINE], command[64];
    int64_t code;
    va_list arguments;
    int length, rc;

    va_start(arguments, format);
    length = vsnprintf(asked, sizeof asked, format, arguments);
    va_end(arguments);
    rc = tmbi_pmi_exchange(pmi, asked, (size_t)length, answer, deadline);
    if (rc)
        return tmbi_pmi_gone(pmi, rc);
    asked[length - 1] = '\0';
    if (tmbi_pmi_field(answer, "cmd", command, sizeof command) ||
        strcmp(command, expected))
        return tmbi_pmi_garbage(pmi, asked, answer);
    return !tmbi_pmi_number(answer, "rc", &code) && code ? -EREMOTEIO : 0;
}
