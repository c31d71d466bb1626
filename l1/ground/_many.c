/* Many short SHA-256 hashes in one call: see many.py, which says what each function means and does the same in Python.
 *
 * The hash is libcrypto's. What is saved is what Python spends around it: a lookup of the algorithm, two contexts and
 * three calls for each hash, six times as much as the hash of so short a text. These calls of libcrypto are its older
 * ones: the newer ones clean and free a context for each hash, which costs as much again (docs/decisions/hashes-in-c.md). */
#define PY_SSIZE_T_CLEAN
#define OPENSSL_SUPPRESS_DEPRECATED
#include <Python.h>
#include <openssl/sha.h>

enum { HASH_BYTES = SHA256_DIGEST_LENGTH, SALT_BYTES = 16, TAGS = 16 };

struct text {
    const unsigned char *bytes;
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

/* Hashes some texts into a new bytes object at `at` of `list`. */
static int put_hash(PyObject *list, Py_ssize_t at, const struct text *texts, int count)
{
    PyObject *made = PyBytes_FromStringAndSize(NULL, HASH_BYTES);
    if (made == NULL)
        return 0;
    PyList_SET_ITEM(list, at, made);
    return hash(texts, count, (unsigned char *)PyBytes_AS_STRING(made));
}

/* The size of the msgpack number, byte string, boolean or nil that a text begins with; 0 if it begins with none. */
static Py_ssize_t scalar_size(struct text text)
{
    if (text.size < 1)
        return 0;
    unsigned char head = text.bytes[0];
    Py_ssize_t size = 0;
    if (head < 0x80 || head >= 0xe0 || head == 0xc0 || head == 0xc2 || head == 0xc3)
        size = 1;
    else if (head >= 0xcc && head <= 0xd3)
        size = 1 + (1 << ((head - 0xcc) & 3));
    else if (head == 0xc4 && text.size >= 2)
        size = 2 + text.bytes[1];
    return size <= text.size ? size : 0;
}

/* Cuts the short array of scalars off that a text begins with. False if it begins with none. */
static int cut_part(struct text *rest, struct text *part)
{
    if (rest->size < 1 || (rest->bytes[0] & 0xf0) != 0x90)
        return 0;
    int fields = rest->bytes[0] & 0x0f;
    struct text left = {rest->bytes + 1, rest->size - 1};
    for (int at = 0; at < fields; at++) {
        Py_ssize_t size = scalar_size(left);
        if (size == 0)
            return 0;
        left = (struct text){left.bytes + size, left.size - size};
    }
    *part = (struct text){rest->bytes, left.bytes - rest->bytes};
    *rest = left;
    return 1;
}

/* Cuts the header of an array off; how many items it has, or -1 if there is none. */
static Py_ssize_t cut_header(struct text *rest)
{
    Py_ssize_t taken = 0, count = -1;
    if (rest->size >= 1 && (rest->bytes[0] & 0xf0) == 0x90) {
        taken = 1;
        count = rest->bytes[0] & 0x0f;
    } else if (rest->size >= 3 && rest->bytes[0] == 0xdc) {
        taken = 3;
        count = rest->bytes[1] << 8 | rest->bytes[2];
    }
    *rest = (struct text){rest->bytes + taken, rest->size - taken};
    return count;
}

/* The parts of a batch that are not cut off yet. */
struct parts {
    struct text publics, privates;
    unsigned int with_private;
};

/* Cuts the parts of the next entry off; the private one is empty if its kind has none. False, with an exception, if they
 * are none. */
static int cut_entry(struct parts *rest, struct text *public, struct text *private)
{
    *private = (struct text){NULL, 0};
    int good = cut_part(&rest->publics, public) && public->size >= 2 && public->bytes[1] < TAGS;
    if (good && (rest->with_private >> public->bytes[1] & 1))
        good = cut_part(&rest->privates, private);
    if (!good)
        PyErr_SetString(PyExc_ValueError, "what stands where a part of an entry is due is none");
    return good;
}

/* Cuts the headers off; how many entries there are, or -1 with an exception. */
static Py_ssize_t cut_headers(struct parts *rest)
{
    Py_ssize_t count = cut_header(&rest->publics);
    if (count < 0 || cut_header(&rest->privates) < 0) {
        PyErr_SetString(PyExc_ValueError, "parts stand in an array");
        return -1;
    }
    return count;
}

static int put_leaf(PyObject *list, Py_ssize_t at, struct parts *rest, struct text salt)
{
    unsigned char hidden[HASH_BYTES];
    struct text leaf[3] = {{(const unsigned char *)"\x00", 1}, {NULL, 0}, {hidden, HASH_BYTES}};
    struct text salted[2] = {salt};
    if (!cut_entry(rest, &leaf[1], &salted[1]))
        return 0;
    if (salted[1].size == 0)
        return put_hash(list, at, leaf, 2);
    return hash(salted, 2, hidden) && put_hash(list, at, leaf, 3);
}

static PyObject *hash_leaves(struct parts rest, struct text salts)
{
    Py_ssize_t count = cut_headers(&rest);
    if (count < 0)
        return NULL;
    if (count * SALT_BYTES != salts.size) {
        PyErr_SetString(PyExc_ValueError, "parts and salts differ in number");
        return NULL;
    }
    PyObject *made = PyList_New(count);
    for (Py_ssize_t at = 0; made != NULL && at < count; at++) {
        struct text salt = {salts.bytes + at * SALT_BYTES, SALT_BYTES};
        if (!put_leaf(made, at, &rest, salt))
            Py_CLEAR(made);
    }
    if (made != NULL && (rest.publics.size || rest.privates.size)) {
        PyErr_SetString(PyExc_ValueError, "something is left behind the last part");
        Py_CLEAR(made);
    }
    return made;
}

static struct text text_of(const Py_buffer *buffer)
{
    return (struct text){buffer->buf, buffer->len};
}

static PyObject *leaf_hashes(PyObject *module, PyObject *args)
{
    Py_buffer publics, privates, salts;
    unsigned int with_private;
    if (!PyArg_ParseTuple(args, "y*y*y*I", &publics, &privates, &salts, &with_private))
        return NULL;
    struct parts parts = {text_of(&publics), text_of(&privates), with_private};
    PyObject *made = hash_leaves(parts, text_of(&salts));
    PyBuffer_Release(&publics);
    PyBuffer_Release(&privates);
    PyBuffer_Release(&salts);
    return made;
}

/* An array of these parts. */
static PyObject *array_of(const struct text *parts, Py_ssize_t count)
{
    unsigned char head[3] = {0xdc, (unsigned char)(count >> 8), (unsigned char)count};
    Py_ssize_t taken = 3, size = 0;
    if (count < 16) {
        head[0] = (unsigned char)(0x90 | count);
        taken = 1;
    }
    for (Py_ssize_t at = 0; at < count; at++)
        size += parts[at].size;
    PyObject *made = PyBytes_FromStringAndSize(NULL, taken + size);
    if (made == NULL)
        return NULL;
    char *to = PyBytes_AS_STRING(made);
    memcpy(to, head, (size_t)taken);
    to += taken;
    for (Py_ssize_t at = 0; at < count; at++) {
        memcpy(to, parts[at].bytes, (size_t)parts[at].size);
        to += parts[at].size;
    }
    return made;
}

/* Cuts entries off until all that are wanted are found: their public parts, and how many private ones. -1 with an
 * exception if they are not all there, in rising order. */
static Py_ssize_t find_parts(struct parts rest, PyObject *wanted, struct text *publics, struct text *privates)
{
    Py_ssize_t count = cut_headers(&rest), hidden = 0, at = 0;
    if (count < 0)
        return -1;
    for (Py_ssize_t number = 0; number < PySequence_Fast_GET_SIZE(wanted); number++) {
        Py_ssize_t index = PyNumber_AsSsize_t(PySequence_Fast_GET_ITEM(wanted, number), PyExc_IndexError);
        if (index == -1 && PyErr_Occurred())
            return -1;
        if (index < at || index >= count) {
            PyErr_SetString(PyExc_IndexError, "there are no such parts, or not in this order");
            return -1;
        }
        for (; at <= index; at++)
            if (!cut_entry(&rest, &publics[number], &privates[hidden]))
                return -1;
        hidden += privates[hidden].size > 0;
    }
    return hidden;
}

static PyObject *pick(struct parts rest, PyObject *wanted)
{
    Py_ssize_t count = PySequence_Fast_GET_SIZE(wanted);
    struct text *found = PyMem_New(struct text, 2 * count + 1);
    if (found == NULL)
        return PyErr_NoMemory();
    PyObject *made = NULL;
    Py_ssize_t hidden = find_parts(rest, wanted, found, found + count);
    if (hidden >= 0) {
        PyObject *publics = array_of(found, count), *privates = array_of(found + count, hidden);
        if (publics != NULL && privates != NULL)
            made = PyTuple_Pack(2, publics, privates);
        Py_XDECREF(publics);
        Py_XDECREF(privates);
    }
    PyMem_Free(found);
    return made;
}

static PyObject *pick_parts(PyObject *module, PyObject *args)
{
    Py_buffer publics, privates;
    unsigned int with_private;
    PyObject *indices;
    if (!PyArg_ParseTuple(args, "y*y*IO", &publics, &privates, &with_private, &indices))
        return NULL;
    PyObject *made = NULL, *wanted = PySequence_Fast(indices, "a sequence is wanted");
    if (wanted != NULL)
        made = pick((struct parts){text_of(&publics), text_of(&privates), with_private}, wanted);
    Py_XDECREF(wanted);
    PyBuffer_Release(&publics);
    PyBuffer_Release(&privates);
    return made;
}

/* Borrows the bytes of an item. False, with an exception, if it is no bytes. */
static int read_item(PyObject *items, Py_ssize_t at, struct text *text)
{
    PyObject *item = PySequence_Fast_GET_ITEM(items, at);
    if (!PyBytes_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "only bytes can be hashed");
        return 0;
    }
    *text = (struct text){(const unsigned char *)PyBytes_AS_STRING(item), PyBytes_GET_SIZE(item)};
    return 1;
}

static PyObject *node_hashes(PyObject *module, PyObject *row)
{
    PyObject *items = PySequence_Fast(row, "a sequence is wanted");
    if (items == NULL)
        return NULL;
    Py_ssize_t size = PySequence_Fast_GET_SIZE(items) / 2;
    PyObject *made = PyList_New(size);
    for (Py_ssize_t at = 0; made != NULL && at < size; at++) {
        struct text node[3] = {{(const unsigned char *)"\x01", 1}};
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
    {"pick_parts", pick_parts, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "l1.ground._many", NULL, -1, methods};

PyMODINIT_FUNC PyInit__many(void)
{
    return PyModule_Create(&definition);
}
