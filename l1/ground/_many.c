/* Many short SHA-256 hashes in one call: see many.py, which says what each function means and does the same in Python.
 *
 * The hash is libcrypto's. What is saved is what Python spends around it: a lookup of the algorithm, two contexts and
 * three calls for each hash, six times as much as the hash of so short a text. The interpreter is held throughout, so
 * one context is enough. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <openssl/evp.h>

enum { HASH_BYTES = 32 };

static EVP_MD *sha256;
static EVP_MD_CTX *context;

struct text {
    const char *bytes;
    Py_ssize_t size;
};

/* The hash of some texts, one after the other. False, with an exception, if libcrypto fails. */
static int hash(const struct text *texts, int count, unsigned char *made)
{
    int good = EVP_DigestInit_ex2(context, sha256, NULL);
    for (int at = 0; good && at < count; at++)
        good = EVP_DigestUpdate(context, texts[at].bytes, (size_t)texts[at].size);
    good = good && EVP_DigestFinal_ex(context, made, NULL);
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

static int put_leaf(PyObject *list, Py_ssize_t at, PyObject *publics, PyObject *privates, PyObject *salts)
{
    unsigned char hidden[HASH_BYTES];
    struct text leaf[3] = {{"\x00", 1}, {NULL, 0}, {(const char *)hidden, HASH_BYTES}};
    struct text salted[2];
    if (!read_item(publics, at, &leaf[1]) || !read_item(salts, at, &salted[0]) || !read_item(privates, at, &salted[1]))
        return 0;
    if (salted[1].size == 0)
        return put_hash(list, at, leaf, 2);
    return hash(salted, 2, hidden) && put_hash(list, at, leaf, 3);
}

static PyObject *leaf_hashes(PyObject *module, PyObject *const *given, Py_ssize_t count)
{
    PyObject *made = NULL, *parts[3] = {NULL, NULL, NULL};
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "publics, privates and salts are wanted");
        return NULL;
    }
    for (int at = 0; at < 3; at++)
        if ((parts[at] = PySequence_Fast(given[at], "a sequence is wanted")) == NULL)
            goto done;
    Py_ssize_t size = PySequence_Fast_GET_SIZE(parts[0]);
    if (size != PySequence_Fast_GET_SIZE(parts[1]) || size != PySequence_Fast_GET_SIZE(parts[2])) {
        PyErr_SetString(PyExc_ValueError, "publics, privates and salts differ in number");
        goto done;
    }
    made = PyList_New(size);
    for (Py_ssize_t at = 0; made != NULL && at < size; at++)
        if (!put_leaf(made, at, parts[0], parts[1], parts[2]))
            Py_CLEAR(made);
done:
    for (int at = 0; at < 3; at++)
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
    {"leaf_hashes", (PyCFunction)(void (*)(void))leaf_hashes, METH_FASTCALL, NULL},
    {"node_hashes", node_hashes, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "l1.ground._many", NULL, -1, methods};

PyMODINIT_FUNC PyInit__many(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    context = EVP_MD_CTX_new();
    if (sha256 == NULL || context == NULL) {
        PyErr_SetString(PyExc_ImportError, "libcrypto has no SHA-256");
        return NULL;
    }
    return PyModule_Create(&definition);
}
