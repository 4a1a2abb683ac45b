/* SPDX-License-Identifier: BSD-3-Clause */
#include "secret.h"

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef HAVE_NETTLE
#include <nettle/hmac.h>
#include <nettle/memops.h>
#endif

#include "../log.h"

/* ---- where it comes from ---- */

static int secret_set(struct tmbi_secret *secret, const char *variable, const void *text,
                      size_t bytes)
{
    if (bytes < TMBI_SECRET_MIN || bytes > TMBI_SECRET_MAX) {
        tmbi_error("%s: the secret has %zu bytes, and must have from %u to %u: `openssl "
                   "rand -hex 32` makes a good one",
                   variable, bytes, TMBI_SECRET_MIN, TMBI_SECRET_MAX);
        return -EINVAL;
    }
    memcpy(secret->key, text, bytes);
    secret->bytes = bytes;
    return 0;
}

static int file_failed(const char *path, int rc)
{
    tmbi_error("TMB_SECRET_FILE=%s: can't be read: %s", path, strerror(-rc));
    return rc;
}

/* What others can read is no secret. */
static int file_check(const char *path, int fd)
{
    struct stat status;

    if (fstat(fd, &status))
        return file_failed(path, -errno);
    if (!S_ISREG(status.st_mode)) {
        tmbi_error("TMB_SECRET_FILE=%s: is no file", path);
        return -EINVAL;
    }
    if (status.st_mode & 077) {
        tmbi_error("TMB_SECRET_FILE=%s: others than its owner may use it: chmod 600 %s",
                   path, path);
        return -EACCES;
    }
    return 0;
}

static int file_read(struct tmbi_secret *secret, const char *path, int fd)
{
    char text[TMBI_SECRET_MAX + 2]; /* a line's end, and a sign of more */
    ssize_t bytes = read(fd, text, sizeof text);
    int rc;

    if (bytes < 0)
        return file_failed(path, -errno);
    if (bytes && text[bytes - 1] == '\n')
        bytes--;
    rc = secret_set(secret, "TMB_SECRET_FILE", text, (size_t)bytes);
    explicit_bzero(text, sizeof text);
    return rc;
}

static int file_load(struct tmbi_secret *secret, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int rc;

    if (fd < 0)
        return file_failed(path, -errno);
    rc = file_check(path, fd);
    if (!rc)
        rc = file_read(secret, path, fd);
    close(fd);
    return rc;
}

int tmbi_secret_load(struct tmbi_secret *secret, const struct tmbi_core_config *config)
{
    secret->bytes = 0;
    if (!config->secret && !config->secret_file)
        return 0;
    if (config->secret && config->secret_file) {
        tmbi_error("TMB_SECRET and TMB_SECRET_FILE are both set: use one");
        return -EINVAL;
    }
    if (!tmbi_secret_possible()) {
        tmbi_error(
            "%s is set, but this build of Tombolo knows no secrets: nettle was not "
            "there (Debian: nettle-dev)",
            config->secret ? "TMB_SECRET" : "TMB_SECRET_FILE");
        return -EOPNOTSUPP;
    }
    if (config->secret_file)
        return file_load(secret, config->secret_file);
    return secret_set(secret, "TMB_SECRET", config->secret, strlen(config->secret));
}

void tmbi_secret_wipe(struct tmbi_secret *secret)
{
    explicit_bzero(secret, sizeof *secret);
}

/* ---- what it proves ---- */

#ifdef HAVE_NETTLE

bool tmbi_secret_possible(void)
{
    return true;
}

void tmbi_secret_prove(const struct tmbi_secret *secret,
                       const struct tmbi_proof_part *parts, size_t count,
                       uint8_t proof[TMBI_PROOF_BYTES])
{
    struct hmac_sha256_ctx hmac;

    memset(proof, 0, TMBI_PROOF_BYTES);
    if (!secret->bytes)
        return;
    hmac_sha256_set_key(&hmac, secret->bytes, secret->key);
    for (size_t i = 0; i < count; i++)
        hmac_sha256_update(&hmac, parts[i].bytes, parts[i].data);
    hmac_sha256_digest(&hmac, TMBI_PROOF_BYTES, proof);
    explicit_bzero(&hmac, sizeof hmac);
}

bool tmbi_secret_check(const struct tmbi_secret *secret,
                       const struct tmbi_proof_part *parts, size_t count,
                       const uint8_t proof[TMBI_PROOF_BYTES])
{
    uint8_t expected[TMBI_PROOF_BYTES];

    tmbi_secret_prove(secret, parts, count, expected);
    return memeql_sec(expected, proof, sizeof expected); /* in constant time */
}

#else

bool tmbi_secret_possible(void)
{
    return false;
}

void tmbi_secret_prove(const struct tmbi_secret *secret,
                       const struct tmbi_proof_part *parts, size_t count,
                       uint8_t proof[TMBI_PROOF_BYTES])
{
    (void)secret;
    (void)parts;
    (void)count;
    memset(proof, 0, TMBI_PROOF_BYTES);
}

bool tmbi_secret_check(const struct tmbi_secret *secret,
                       const struct tmbi_proof_part *parts, size_t count,
                       const uint8_t proof[TMBI_PROOF_BYTES])
{
    static const uint8_t none[TMBI_PROOF_BYTES];

    (void)secret;
    (void)parts;
    (void)count;
    return !memcmp(proof, none, sizeof none);
}

#endif
