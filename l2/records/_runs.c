/* Consecutive chunks of a body in one call: see runs.py, which says what each function means and does the same in
 * Python.
 *
 * Cipher and hash are libcrypto's. What is saved is not work but turns: from Python each chunk takes the interpreter
 * again, and waits for it while another thread has it. Here it is let go of once for a megabyte. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <openssl/evp.h>
#include <string.h>

enum { CHUNK = 64 * 1024, TAG = 16, SEALED = CHUNK + TAG, KEY = 32, PLACE = 32, NONCE = 12, HASH = 32 };
enum { ALL_GOOD = -1, BROKEN = -2 };

static EVP_CIPHER *chacha;
static EVP_MD *sha256;

/* What a run is sealed or opened with, and where: `given` bytes at `from` become bytes at `into`. */
struct run {
    Py_buffer key, place, from, into;
    Py_ssize_t first, last;
};

static void release(struct run *run)
{
    PyBuffer_Release(&run->key);
    PyBuffer_Release(&run->place);
    PyBuffer_Release(&run->from);
    PyBuffer_Release(&run->into);
}

static Py_ssize_t chunks_in(Py_ssize_t size, Py_ssize_t chunk) { return (size + chunk - 1) / chunk; }

static Py_ssize_t smaller(Py_ssize_t one, Py_ssize_t other) { return one < other ? one : other; }

/* Reads the arguments. False, with an exception, if they do not fit together. */
static int read_run(PyObject *given, struct run *run, int sealing)
{
    if (!PyArg_ParseTuple(given, "y*y*y*nnw*", &run->key, &run->place, &run->from, &run->first, &run->last, &run->into))
        return 0;
    Py_ssize_t count = chunks_in(run->from.len, sealing ? CHUNK : SEALED);
    Py_ssize_t rest = run->from.len % SEALED;
    if (run->key.len == KEY && run->place.len == PLACE && run->first >= 0 && (sealing || rest == 0 || rest >= TAG)
        && run->into.len == run->from.len + (sealing ? count : -count) * TAG)
        return 1;
    release(run);
    PyErr_SetString(PyExc_ValueError, "key, place, chunks and room do not fit together");
    return 0;
}

/* [BODY-3] Nonce and associated data of a chunk. */
static int begin(EVP_CIPHER_CTX *context, const struct run *run, Py_ssize_t index, int sealing)
{
    unsigned char nonce[NONCE] = {0}, data[PLACE + 1];
    int size;
    for (int at = 0; at < 8; at++)
        nonce[NONCE - 1 - at] = (unsigned char)((unsigned long long)index >> (8 * at));
    memcpy(data, run->place.buf, PLACE);
    data[PLACE] = index == run->last;
    return EVP_CipherInit_ex2(context, chacha, run->key.buf, nonce, sealing, NULL)
        && EVP_CipherUpdate(context, NULL, &size, data, sizeof data);
}

static int seal_chunk(EVP_CIPHER_CTX *context, const struct run *run, Py_ssize_t at)
{
    const unsigned char *from = (unsigned char *)run->from.buf + at * CHUNK;
    unsigned char *into = (unsigned char *)run->into.buf + at * SEALED;
    int size = (int)smaller(CHUNK, run->from.len - at * CHUNK), made;
    return begin(context, run, run->first + at, 1) && EVP_CipherUpdate(context, into, &made, from, size)
        && EVP_CipherFinal_ex(context, into + size, &made)
        && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG, into + size);
}

/* 1 if it opens, 0 if not, BROKEN if libcrypto fails. */
static int open_chunk(EVP_CIPHER_CTX *context, const struct run *run, Py_ssize_t at)
{
    unsigned char *from = (unsigned char *)run->from.buf + at * SEALED;
    unsigned char *into = (unsigned char *)run->into.buf + at * CHUNK;
    int size = (int)smaller(SEALED, run->from.len - at * SEALED) - TAG, made;
    if (!begin(context, run, run->first + at, 0)
        || !EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG, from + size)
        || !EVP_CipherUpdate(context, into, &made, from, size))
        return BROKEN;
    return EVP_CipherFinal_ex(context, into + size, &made) > 0;
}

static Py_ssize_t seal_all(const struct run *run)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    Py_ssize_t count = chunks_in(run->from.len, CHUNK), found = context == NULL ? BROKEN : ALL_GOOD;
    for (Py_ssize_t at = 0; found == ALL_GOOD && at < count; at++)
        if (!seal_chunk(context, run, at))
            found = BROKEN;
    EVP_CIPHER_CTX_free(context);
    return found;
}

static Py_ssize_t open_all(const struct run *run)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    Py_ssize_t count = chunks_in(run->from.len, SEALED), found = context == NULL ? BROKEN : ALL_GOOD;
    for (Py_ssize_t at = 0; found == ALL_GOOD && at < count; at++) {
        int opened = open_chunk(context, run, at);
        if (opened != 1)
            found = opened == BROKEN ? BROKEN : run->first + at;
    }
    EVP_CIPHER_CTX_free(context);
    return found;
}

static PyObject *work(PyObject *given, int sealing)
{
    struct run run;
    Py_ssize_t found;
    if (!read_run(given, &run, sealing))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    found = sealing ? seal_all(&run) : open_all(&run);
    Py_END_ALLOW_THREADS
    release(&run);
    if (found == BROKEN) {
        PyErr_SetString(PyExc_RuntimeError, "libcrypto cannot seal or open");
        return NULL;
    }
    if (sealing)
        Py_RETURN_NONE;
    return PyLong_FromSsize_t(found);
}

static PyObject *seal_run(PyObject *module, PyObject *given) { return work(given, 1); }

static PyObject *open_run(PyObject *module, PyObject *given) { return work(given, 0); }

/* The leaf hash of every chunk, one behind the other. */
static int hash_all(const Py_buffer *run, unsigned char *made)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    Py_ssize_t count = chunks_in(run->len, SEALED);
    int good = context != NULL;
    for (Py_ssize_t at = 0; good && at < count; at++) {
        const unsigned char *chunk = (unsigned char *)run->buf + at * SEALED;
        good = EVP_DigestInit_ex2(context, sha256, NULL) && EVP_DigestUpdate(context, "\x00", 1)
            && EVP_DigestUpdate(context, chunk, (size_t)smaller(SEALED, run->len - at * SEALED))
            && EVP_DigestFinal_ex(context, made + at * HASH, NULL);
    }
    EVP_MD_CTX_free(context);
    return good;
}

static PyObject *hash_run(PyObject *module, PyObject *given)
{
    Py_buffer run;
    int good;
    if (PyObject_GetBuffer(given, &run, PyBUF_SIMPLE) < 0)
        return NULL;
    PyObject *made = PyBytes_FromStringAndSize(NULL, chunks_in(run.len, SEALED) * HASH);
    if (made != NULL) {
        Py_BEGIN_ALLOW_THREADS
        good = hash_all(&run, (unsigned char *)PyBytes_AS_STRING(made));
        Py_END_ALLOW_THREADS
        if (!good) {
            PyErr_SetString(PyExc_RuntimeError, "libcrypto cannot hash");
            Py_CLEAR(made);
        }
    }
    PyBuffer_Release(&run);
    return made;
}

static PyMethodDef methods[] = {
    {"seal_run", seal_run, METH_VARARGS, NULL},
    {"open_run", open_run, METH_VARARGS, NULL},
    {"hash_run", hash_run, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "l2.records._runs", NULL, -1, methods};

PyMODINIT_FUNC PyInit__runs(void)
{
    chacha = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (chacha == NULL || sha256 == NULL) {
        PyErr_SetString(PyExc_ImportError, "libcrypto has no ChaCha20-Poly1305 or no SHA-256");
        return NULL;
    }
    return PyModule_Create(&definition);
}
