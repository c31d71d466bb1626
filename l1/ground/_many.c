/* Many short SHA-256 hashes in one call: see many.py, which says what each function means and does the same in Python.
 *
 * The hash is libcrypto's. What is saved is what Python spends around it: a lookup of the algorithm, two contexts and
 * three calls for each hash, six times as much as the hash of so short a text. These calls of libcrypto are its older
 * ones: the newer ones clean and free a context for each hash, which costs as much again (docs/decisions/hashes-in-c.md). */
#define PY_SSIZE_T_CLEAN
#define OPENSSL_SUPPRESS_DEPRECATED
#include <Python.h>
#include <openssl/sha.h>

enum { HASH_BYTES = SHA256_DIGEST_LENGTH, SALT_BYTES = 16 };

struct text {
    const char *bytes;
    Py_ssize_t size;
};

/* The hash of some texts, one after the other. False, with an exception, if libcrypto fails. */
static int hash(const struct text *texts, int count, unsigned char *made)
{
    SHA256_CTX state;
    int good = SHA256_Init(&state);
    for (int at = 0; good && at < count; at++)
        good = SHA256_Update(&state, texts[at].bytes, (size_t)texts[at].size);
    good = good && SHA256_Final(made, &state);
    if (!good)
        PyErr_SetString(PyExc_RuntimeError, "libcrypto cannot hash");
    return good;
}

/* Borrows the bytes of an item. False, with an exception, if it is no bytes. */
static int read_item(PyObject *items, Py_ssize_t at, struct text *text)
{
    PyObject *item = PySequence_Fast_GET_ITEM(items, at);
    if (!PyBytes_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "only bytes can be hashed");
        return 0;
    }
    *text = (struct text){PyBytes_AS_STRING(item), PyBytes_GET_SIZE(item)};
    return 1;
}

/* Hashes some texts into a new bytes object at `at` of `list`. */
static int put_hash(PyObject *list, Py_ssize_t at, const struct text *texts, int count)
{
    PyObject *made = PyBytes_FromStringAndSize(NULL, HASH_BYTES);
    if (made == NULL)
        return 0;
    PyList_SET_ITEM(list, at, made);
    return hash(texts, count, (unsigned char *)PyBytes_AS_STRING(made));
}

static int put_leaf(PyObject *list, Py_ssize_t at, PyObject *publics, PyObject *privates, const char *salts)
{
    unsigned char hidden[HASH_BYTES];
    struct text leaf[3] = {{"\x00", 1}, {NULL, 0}, {(const char *)hidden, HASH_BYTES}};
    struct text salted[2] = {{salts + at * SALT_BYTES, SALT_BYTES}};
    if (!read_item(publics, at, &leaf[1]) || !read_item(privates, at, &salted[1]))
        return 0;
    if (salted[1].size == 0)
        return put_hash(list, at, leaf, 2);
    return hash(salted, 2, hidden) && put_hash(list, at, leaf, 3);
}

static PyObject *leaf_hashes(PyObject *module, PyObject *args)
{
    PyObject *made = NULL, *given[2], *parts[2] = {NULL, NULL};
    const char *salts;
    Py_ssize_t salts_size;
    if (!PyArg_ParseTuple(args, "OOy#", &given[0], &given[1], &salts, &salts_size))
        return NULL;
    for (int at = 0; at < 2; at++)
        if ((parts[at] = PySequence_Fast(given[at], "a sequence is wanted")) == NULL)
            goto done;
    Py_ssize_t size = PySequence_Fast_GET_SIZE(parts[0]);
    if (size != PySequence_Fast_GET_SIZE(parts[1]) || size * SALT_BYTES != salts_size) {
        PyErr_SetString(PyExc_ValueError, "publics, privates and salts differ in number");
        goto done;
    }
    made = PyList_New(size);
    for (Py_ssize_t at = 0; made != NULL && at < size; at++)
        if (!put_leaf(made, at, parts[0], parts[1], salts))
            Py_CLEAR(made);
done:
    for (int at = 0; at < 2; at++)
        Py_XDECREF(parts[at]);
    return made;
}

static PyObject *node_hashes(PyObject *module, PyObject *row)
{
    PyObject *items = PySequence_Fast(row, "a sequence is wanted");
    if (items == NULL)
        return NULL;
    Py_ssize_t size = PySequence_Fast_GET_SIZE(items) / 2;
    PyObject *made = PyList_New(size);
    for (Py_ssize_t at = 0; made != NULL && at < size; at++) {
        struct text node[3] = {{"\x01", 1}};
        if (!read_item(items, 2 * at, &node[1]) || !read_item(items, 2 * at + 1, &node[2])
            || !put_hash(made, at, node, 3))
            Py_CLEAR(made);
    }
    Py_DECREF(items);
    return made;
}

static PyMethodDef methods[] = {
    {"leaf_hashes", leaf_hashes, METH_VARARGS, NULL},
    {"node_hashes", node_hashes, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "l1.ground._many", NULL, -1, methods};

PyMODINIT_FUNC PyInit__many(void)
{
    return PyModule_Create(&definition);
}
