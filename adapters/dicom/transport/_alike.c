/* Requests of an association that lie like ones that were read before: received, compared and answered here.

   What does not lie so is handed over as it came, and read by `adapters.dicom.content.pdu_reader`. Nothing is parsed: a
   request is taken only where every byte that is not free is what it was. `_alike.pyi` says what each method is for. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { HEAD = 12, BEHIND = 12, FRAGMENTS = 32, SHAPES = 8, DESCRIPTORS = 4096, READY = 64, LONGEST_ANSWER = 512, MORE = 4096 };
enum { NO = -1, SO_FAR = 0, WHOLE = 1 };
enum { AS_ALWAYS, CAME, ENDED, UNSENT };
static const double PATIENCE = 0.25, SPELL = 0.05;

typedef struct { const uint8_t *at; Py_ssize_t size; } Bytes;
typedef struct { int at, length; } Place;

/* See `adapters.dicom.content.likeness.Likeness`, whose fields these are. */
typedef struct {
    PyObject *likeness, *context; /* the first owns all bytes below */
    Bytes command, command_mask, heads, mask, high, sop_class, study, behind, answer;
    int id_at, uid_at, uid_length, fragments, answer_id_at, answer_uid_at;
    Place sop_class_place, instance, study_place, series;
    size_t at[FRAGMENTS], length[FRAGMENTS], size;
    uint8_t head[FRAGMENTS][HEAD];
} Shape;

typedef struct {
    int descriptor, is_on, known;
    Shape *shapes[SHAPES], *whole;
    uint8_t *buffer;
    size_t come, room;
    double since; /* when the message began that has not come whole */
} Line;

typedef struct {
    PyObject_HEAD
    int poll, beginnings;
    PyObject *take, *sync;
    Line *lines[DESCRIPTORS];
} Alike;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static Line *line_of(Alike *self, int descriptor) {
    return descriptor >= 0 && descriptor < DESCRIPTORS ? self->lines[descriptor] : NULL;
}

static void drop_shape(Shape *shape) {
    Py_XDECREF(shape->likeness);
    Py_XDECREF(shape->context);
    free(shape);
}

static void drop_line(Line *line) {
    while (line->known)
        drop_shape(line->shapes[--line->known]);
    free(line->buffer);
    free(line);
}

/* ------------------------------------------------------------ comparing */

/* PS3.5 9.1, but for leading zeros: as `adapters.dicom.content.uids.is_uid`. */
static int is_uid(const uint8_t *text, int length) {
    int is_after_digit = 0;
    if (length > 64)
        return 0;
    for (int i = 0; i < length; i++) {
        int is_digit = text[i] >= '0' && text[i] <= '9';
        if (!is_digit && (text[i] != '.' || !is_after_digit))
            return 0;
        is_after_digit = is_digit;
    }
    return is_after_digit;
}

static int bare(const uint8_t *text, int length) {
    while (length && !text[length - 1])
        length--;
    return length;
}

static int is_masked(const uint8_t *bytes, const Bytes *mask, const Bytes *wanted, size_t count) {
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        uint64_t word, kept, must;
        memcpy(&word, bytes + i, 8), memcpy(&kept, mask->at + i, 8), memcpy(&must, wanted->at + i, 8);
        if ((word & kept) != must)
            return 0;
    }
    for (; i < count; i++)
        if ((bytes[i] & mask->at[i]) != wanted->at[i])
            return 0;
    return 1;
}

static int has_any(const uint8_t *bytes, const Bytes *bits) {
    for (Py_ssize_t i = 0; i < bits->size; i++)
        if (bytes[i] & bits->at[i])
            return 1;
    return 0;
}

static int is_at(const uint8_t *data_set, Place place, const Bytes *wanted) {
    return !memcmp(data_set + place.at, wanted->at, (size_t)wanted->size);
}

/* Whether the data set lies as that of the shape, is of its class and study, and of the instance that was announced. */
static int has_data_set(const Shape *shape, const uint8_t *message) {
    const uint8_t *data_set = message + shape->at[0];
    const uint8_t *announced = message + shape->uid_at, *instance = data_set + shape->instance.at;
    const uint8_t *series = data_set + shape->series.at;
    if (!is_masked(data_set, &shape->mask, &shape->heads, (size_t)shape->heads.size) || has_any(data_set, &shape->high)
        || memcmp(data_set + shape->heads.size, shape->behind.at, (size_t)shape->behind.size)
        || !is_at(data_set, shape->sop_class_place, &shape->sop_class)
        || !is_at(data_set, shape->study_place, &shape->study))
        return 0;
    int length = bare(announced, shape->uid_length);
    return length == bare(instance, shape->instance.length) && !memcmp(announced, instance, (size_t)length)
        && is_uid(announced, length) && is_uid(series, bare(series, shape->series.length));
}

static int compare(const Shape *shape, const uint8_t *message, size_t come) {
    size_t command = (size_t)shape->command.size, first = come < command ? come : command;
    if (come > shape->size || !is_masked(message, &shape->command_mask, &shape->command, first))
        return NO;
    for (int i = 0; i < shape->fragments; i++) {
        if (come < shape->at[i])
            return SO_FAR;
        if (memcmp(message + shape->at[i] - HEAD, shape->head[i], HEAD))
            return NO;
    }
    if (come < shape->size)
        return SO_FAR;
    return has_data_set(shape, message) ? WHOLE : NO;
}

static int best(Line *line) {
    int found = NO;
    for (int i = line->known - 1; i >= 0 && found != WHOLE; i--) {
        int result = compare(line->shapes[i], line->buffer, line->come);
        if (result == WHOLE)
            line->whole = line->shapes[i];
        if (result > found)
            found = result;
    }
    return found;
}

/* ------------------------------------------------------------ what a line is told */

static PyObject *watch(Alike *self, PyObject *argument) {
    int descriptor = (int)PyLong_AsLong(argument);
    if (descriptor == -1 && PyErr_Occurred())
        return NULL;
    if (descriptor < 0 || descriptor >= DESCRIPTORS)
        Py_RETURN_NONE;
    if (!self->lines[descriptor]) {
        Line *line = calloc(1, sizeof *line);
        if (!line)
            return PyErr_NoMemory();
        line->descriptor = descriptor;
        self->lines[descriptor] = line;
    }
    self->lines[descriptor]->is_on = 1;
    Py_RETURN_NONE;
}

static PyObject *forget(Alike *self, PyObject *argument) {
    int descriptor = (int)PyLong_AsLong(argument);
    if (descriptor == -1 && PyErr_Occurred())
        return NULL;
    Line *line = line_of(self, descriptor);
    if (!line)
        return PyBytes_FromStringAndSize(NULL, 0);
    PyObject *come = PyBytes_FromStringAndSize((char *)line->buffer, (Py_ssize_t)line->come);
    if (!come)
        return NULL;
    self->beginnings -= line->come > 0;
    self->lines[descriptor] = NULL;
    drop_line(line);
    return come;
}

static int read_fragments(Shape *shape, PyObject *fragments) {
    shape->fragments = (int)PyTuple_GET_SIZE(fragments);
    if (!shape->fragments || shape->fragments > FRAGMENTS) {
        PyErr_SetString(PyExc_ValueError, "so many fragments are not compared");
        return 0;
    }
    for (int i = 0; i < shape->fragments; i++) {
        Py_ssize_t at, length, size;
        const char *head;
        PyObject *fragment = PyTuple_GET_ITEM(fragments, i);
        if (!PyTuple_Check(fragment)) {
            PyErr_SetString(PyExc_TypeError, "a fragment is a tuple");
            return 0;
        }
        if (!PyArg_ParseTuple(fragment, "nny#", &at, &length, &head, &size))
            return 0;
        if (size != HEAD || at < HEAD || length < 0 || (size_t)(at + length) > shape->size) {
            PyErr_SetString(PyExc_ValueError, "a fragment lies outside its message");
            return 0;
        }
        shape->at[i] = (size_t)at, shape->length[i] = (size_t)length;
        memcpy(shape->head[i], head, HEAD);
    }
    return 1;
}

static int lies_within(Place place, Py_ssize_t size) {
    return place.at >= 0 && place.length >= 0 && place.at + (Py_ssize_t)place.length <= size;
}

/* Whether no comparison reads outside what has come. */
static int is_sound(const Shape *shape) {
    Py_ssize_t command = shape->command.size, heads = shape->heads.size, answer = shape->answer.size;
    Place id = {shape->id_at, 2}, uid = {shape->uid_at, shape->uid_length};
    Place answer_id = {shape->answer_id_at, 2}, answer_uid = {shape->answer_uid_at, shape->uid_length};
    int last = shape->fragments - 1;
    if (shape->at[last] + shape->length[last] != shape->size)
        return 0;
    return shape->command_mask.size == command && shape->mask.size == heads && shape->high.size == heads
        && lies_within(id, command) && lies_within(uid, command) && lies_within(shape->sop_class_place, heads)
        && lies_within(shape->study_place, heads) && lies_within(shape->instance, heads)
        && lies_within(shape->series, heads) && shape->sop_class.size == shape->sop_class_place.length
        && shape->study.size == shape->study_place.length && shape->behind.size <= BEHIND
        && (size_t)(heads + shape->behind.size) <= shape->length[0] && command + HEAD <= (Py_ssize_t)shape->at[0]
        && answer <= LONGEST_ANSWER && lies_within(answer_id, answer) && lies_within(answer_uid, answer);
}

static Shape *shape_of(PyObject *likeness, PyObject *context) {
    Shape *s = calloc(1, sizeof *s);
    PyObject *fragments;
    Py_ssize_t size;
    if (!s)
        return (Shape *)PyErr_NoMemory();
    if (!PyArg_ParseTuple(
            likeness, "y#y#iiiO!ny#y#y#(ii)(ii)(ii)(ii)y#y#y#y#ii", &s->command.at, &s->command.size,
            &s->command_mask.at, &s->command_mask.size, &s->id_at, &s->uid_at, &s->uid_length, &PyTuple_Type, &fragments,
            &size, &s->heads.at, &s->heads.size, &s->mask.at, &s->mask.size, &s->high.at, &s->high.size,
            &s->sop_class_place.at, &s->sop_class_place.length, &s->instance.at, &s->instance.length,
            &s->study_place.at, &s->study_place.length, &s->series.at, &s->series.length, &s->sop_class.at,
            &s->sop_class.size, &s->study.at, &s->study.size, &s->behind.at, &s->behind.size, &s->answer.at,
            &s->answer.size, &s->answer_id_at, &s->answer_uid_at)) {
        free(s);
        return NULL;
    }
    s->size = (size_t)size;
    if (!read_fragments(s, fragments) || !is_sound(s)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "a likeness that contradicts itself");
        free(s);
        return NULL;
    }
    s->likeness = Py_NewRef(likeness), s->context = Py_NewRef(context);
    return s;
}

static PyObject *learn(Alike *self, PyObject *arguments) {
    int descriptor;
    PyObject *likeness, *context;
    if (!PyArg_ParseTuple(arguments, "iO!O", &descriptor, &PyTuple_Type, &likeness, &context))
        return NULL;
    Line *line = line_of(self, descriptor);
    if (!line || line->come)
        Py_RETURN_NONE;
    for (int i = 0; i < line->known; i++) {
        int is_known = PyObject_RichCompareBool(line->shapes[i]->likeness, likeness, Py_EQ);
        if (is_known < 0)
            return NULL;
        if (is_known)
            Py_RETURN_NONE;
    }
    Shape *shape = shape_of(likeness, context);
    if (!shape)
        return NULL;
    if (shape->size + MORE > line->room) {
        uint8_t *buffer = realloc(line->buffer, shape->size + MORE); /* what is a little longer comes whole, too */
        if (!buffer) {
            drop_shape(shape);
            return PyErr_NoMemory();
        }
        line->buffer = buffer, line->room = shape->size + MORE;
    }
    if (line->known == SHAPES) {
        drop_shape(line->shapes[0]);
        memmove(line->shapes, line->shapes + 1, sizeof *line->shapes * --line->known);
    }
    line->shapes[line->known++] = shape;
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------ receiving */

static int tell(PyObject *told, int descriptor, int what, const void *bytes, size_t size) {
    PyObject *one = Py_BuildValue("iiy#", descriptor, what, size ? bytes : "", (Py_ssize_t)size);
    int failed = !one || PyList_Append(told, one);
    Py_XDECREF(one);
    return failed ? -1 : 0;
}

/* What has come is for somebody else, and what follows. */
static int hand_over(Alike *self, Line *line, int what, PyObject *told) {
    int failed = tell(told, line->descriptor, what, line->buffer, line->come);
    self->beginnings -= line->come > 0;
    line->come = 0, line->is_on = 0, line->whole = NULL;
    return failed;
}

/* An exception of what was called is told to whoever looks for such; the object goes the long way. */
static int is_true(PyObject *result) {
    int is = result == Py_True;
    if (!result)
        PyErr_WriteUnraisable(NULL);
    Py_XDECREF(result);
    return is;
}

static int is_taken(Alike *self, Line *line) {
    Shape *shape = line->whole;
    const char *uid = (const char *)line->buffer + shape->uid_at;
    PyObject *pieces = PyList_New(shape->fragments), *text, *result = NULL;
    text = PyUnicode_DecodeASCII(uid, bare((const uint8_t *)uid, shape->uid_length), NULL);
    for (int i = 0; pieces && i < shape->fragments; i++) {
        PyObject *piece = PyMemoryView_FromMemory((char *)line->buffer + shape->at[i], (Py_ssize_t)shape->length[i],
                                                  PyBUF_READ);
        if (piece)
            PyList_SET_ITEM(pieces, i, piece);
        else
            Py_CLEAR(pieces);
    }
    if (pieces && text) {
        PyObject *with[] = {NULL, shape->context, text, pieces};
        result = PyObject_Vectorcall(self->take, with + 1, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    Py_XDECREF(pieces);
    Py_XDECREF(text);
    return is_true(result);
}

/* Reads what is there: whether it is a whole message now. -2: nobody could be told of it. */
static int receive(Alike *self, Line *line, PyObject *told) {
    ssize_t count = read(line->descriptor, line->buffer + line->come, line->room - line->come);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return SO_FAR;
    if (count <= 0)
        return hand_over(self, line, ENDED, told) ? -2 : NO;
    if (!line->come)
        self->beginnings++, line->since = now();
    line->come += (size_t)count;
    int found = best(line);
    if (found == WHOLE && is_taken(self, line))
        return WHOLE;
    if (found == SO_FAR)
        return SO_FAR;
    return hand_over(self, line, CAME, told) ? -2 : NO;
}

/* C-STORE-RSP with status 0x0000 (PS3.7 9.3.1.2). */
static int answer(Alike *self, Line *line, PyObject *told) {
    Shape *shape = line->whole;
    uint8_t out[LONGEST_ANSWER];
    size_t size = (size_t)shape->answer.size;
    memcpy(out, shape->answer.at, size);
    memcpy(out + shape->answer_id_at, line->buffer + shape->id_at, 2);
    memcpy(out + shape->answer_uid_at, line->buffer + shape->uid_at, (size_t)shape->uid_length);
    line->come = 0, line->whole = NULL, self->beginnings--;
    ssize_t sent = write(line->descriptor, out, size);
    size_t done = sent > 0 ? (size_t)sent : 0;
    if (done == size)
        return 0;
    line->is_on = 0;
    return tell(told, line->descriptor, UNSENT, out + done, size - done);
}

/* One sync for all that came together, and their answers; where it fails they go the long way. */
static int finish(Alike *self, Line **whole, int count, PyObject *told) {
    if (!count)
        return 0;
    int is_durable = is_true(PyObject_CallNoArgs(self->sync));
    for (int i = 0; i < count; i++)
        if (is_durable ? answer(self, whole[i], told) : hand_over(self, whole[i], CAME, told))
            return -1;
    return 0;
}

/* A message that has stopped is for who keeps its time; all that has begun where `patience` is none. */
static int give_up(Alike *self, double patience, PyObject *told) {
    double before = now() - patience;
    for (int i = 0; i < DESCRIPTORS && self->beginnings; i++)
        if (self->lines[i] && self->lines[i]->come && self->lines[i]->since <= before
            && hand_over(self, self->lines[i], CAME, told))
            return -1;
    return 0;
}

/* Reads once from each that is ready; how many whole objects there were, -1 for an exception. */
static int serve(Alike *self, const struct epoll_event *ready, int count, int may_take, PyObject *told) {
    Line *whole[READY];
    int wholes = 0;
    for (int i = 0; i < count; i++) {
        Line *line = line_of(self, ready[i].data.fd);
        if (line && !may_take)
            line->is_on = 0; /* what follows may be amid a message */
        if (!line || !line->is_on || !line->known) {
            if (tell(told, ready[i].data.fd, AS_ALWAYS, NULL, 0))
                return -1;
            continue;
        }
        int found = receive(self, line, told);
        if (found == -2)
            return -1;
        if (found == WHOLE)
            whole[wholes++] = line;
    }
    return finish(self, whole, wholes, told) ? -1 : wholes;
}

/* Waits so long at most; how many are ready. */
static int await(Alike *self, double seconds, struct epoll_event *ready) {
    int count;
    Py_BEGIN_ALLOW_THREADS
    count = epoll_wait(self->poll, ready, READY, seconds > 0 ? (int)(seconds * 1000 + 0.5) : 0);
    Py_END_ALLOW_THREADS
    return count;
}

static PyObject *poll_them(Alike *self, PyObject *arguments) {
    double timeout, quiet;
    int most, taken = 0, has_come = 0;
    if (!PyArg_ParseTuple(arguments, "ddi", &timeout, &quiet, &most))
        return NULL;
    PyObject *told = PyList_New(0);
    if (!told || (!most && give_up(self, 0, told)))
        goto failed;
    double until = now() + (timeout > SPELL ? timeout : SPELL);
    struct epoll_event ready[READY];
    while (!PyList_GET_SIZE(told)) {
        int count = await(self, taken && quiet < timeout ? quiet : timeout, ready);
        if (count <= 0)
            break;
        has_come = 1;
        int served = serve(self, ready, count, most > 0, told);
        if (served < 0 || (self->beginnings && give_up(self, PATIENCE, told)))
            goto failed;
        taken += served;
        if (taken >= most || now() >= until)
            break;
    }
    if (self->beginnings && give_up(self, PATIENCE, told))
        goto failed;
    return Py_BuildValue("NiO", told, taken, has_come ? Py_True : Py_False);
failed:
    Py_XDECREF(told);
    return NULL;
}

/* ------------------------------------------------------------ the type */

static int initialise(Alike *self, PyObject *arguments, PyObject *named) {
    PyObject *take, *sync;
    if (named || !PyArg_ParseTuple(arguments, "iOO", &self->poll, &take, &sync))
        return -1;
    self->take = Py_NewRef(take), self->sync = Py_NewRef(sync);
    return 0;
}

static void deallocate(Alike *self) {
    for (int i = 0; i < DESCRIPTORS; i++)
        if (self->lines[i])
            drop_line(self->lines[i]);
    Py_XDECREF(self->take);
    Py_XDECREF(self->sync);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef methods[] = {{"watch", (PyCFunction)watch, METH_O, NULL},
                                {"forget", (PyCFunction)forget, METH_O, NULL},
                                {"learn", (PyCFunction)learn, METH_VARARGS, NULL},
                                {"poll", (PyCFunction)poll_them, METH_VARARGS, NULL},
                                {NULL, NULL, 0, NULL}};
static PyTypeObject alike_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_alike.Alike", .tp_basicsize = sizeof(Alike),
    .tp_flags = Py_TPFLAGS_DEFAULT, .tp_new = PyType_GenericNew, .tp_init = (initproc)initialise,
    .tp_dealloc = (destructor)deallocate, .tp_methods = methods};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_alike", NULL, -1, NULL, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__alike(void) {
    PyObject *made = PyType_Ready(&alike_type) < 0 ? NULL : PyModule_Create(&module);
    if (made && PyModule_AddObjectRef(made, "Alike", (PyObject *)&alike_type) < 0)
        Py_CLEAR(made);
    return made;
}
