/* The least that receiving with a sync before each answer costs: `least PORT FOLDER`.

   One process, one thread: reads every socket that has something, writes whole data sets into a file whose blocks are
   there already, syncs it once for all that came together, and answers 0x0000. It reads no tags, keeps nothing apart,
   refuses nothing and trusts every byte: a measure for the bench, and no receiver. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 2 << 20, FILLED = 192 << 20, BLOCK = 4096, START_WRITING = 128 << 10, MOST = 64 };
enum { ASSOCIATE_RQ = 1, P_DATA = 4, RELEASE_RQ = 5 };

struct association {
    int socket, context, whole;
    size_t received, command_length, length;
    uint8_t buffer[BUFFER], command[512], data_set[BUFFER];
};

static uint32_t big32(const uint8_t *at) { return (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]; }
static uint32_t big16(const uint8_t *at) { return at[0] << 8 | at[1]; }
static uint32_t little32(const uint8_t *at) { return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24; }

static void put_big32(uint8_t *at, uint32_t value) {
    value = htonl(value);
    memcpy(at, &value, 4);
}

static void put(int socket, const uint8_t *bytes, size_t size) {
    if (write(socket, bytes, size) != (ssize_t)size)
        exit(3);
}

/* An item of PS3.8 Tables 9-12 ff. */
static size_t item(uint8_t *at, uint8_t type, const void *value, uint32_t length) {
    at[0] = type, at[1] = 0, at[2] = length >> 8, at[3] = length;
    memcpy(at + 4, value, length);
    return 4 + length;
}

/* Accepts every context, in explicit VR little endian where that is proposed (PS3.8 9.3.3). */
static void accept_association(struct association *one, const uint8_t *request, uint32_t length) {
    static const char application[] = "1.2.840.10008.3.1.1.1", explicit[] = "1.2.840.10008.1.2.1";
    uint8_t out[8192] = {2, 0, 0, 0, 0, 0, 0, 1}, longest[4] = {0, 16, 0, 0}, user[64];
    memcpy(out + 10, request + 4, 32);
    size_t size = 74;
    size += item(out + size, 0x10, application, sizeof application - 1);
    for (const uint8_t *at = request + 68; at + 4 <= request + length; at += 4 + big16(at + 2)) {
        if (at[0] != 0x20)
            continue;
        uint8_t context[80] = {at[4]};
        const uint8_t *chosen = NULL;
        for (const uint8_t *sub = at + 8; sub < at + 4 + big16(at + 2); sub += 4 + big16(sub + 2))
            if (sub[0] == 0x40 && (!chosen || (big16(sub + 2) == sizeof explicit - 1
                                               && !memcmp(sub + 4, explicit, sizeof explicit - 1))))
                chosen = sub;
        if (chosen)
            size += item(out + size, 0x21, context, 4 + item(context + 4, 0x40, chosen + 4, big16(chosen + 2)));
    }
    size_t used = item(user, 0x51, longest, 4);
    used += item(user + used, 0x52, "2.25.1", 6);
    size += item(out + size, 0x50, user, used);
    put_big32(out + 2, size - 6);
    put(one->socket, out, size);
}

static size_t element(uint8_t *at, uint16_t number, const void *value, uint32_t length) {
    uint8_t head[8] = {0, 0, number, number >> 8, length, length >> 8};
    memcpy(at, head, 8);
    memcpy(at + 8, value, length);
    return 8 + length;
}

/* C-STORE-RSP with status 0x0000 (PS3.7 9.3.1.2). */
static void answer(struct association *one) {
    const uint8_t *values[0x1001] = {0}, *end = one->command + one->command_length;
    uint32_t lengths[0x1001] = {0};
    for (const uint8_t *at = one->command; at + 8 <= end; at += 8 + little32(at + 4)) {
        uint16_t number = at[2] | at[3] << 8;
        if (number <= 0x1000)
            values[number] = at + 8, lengths[number] = little32(at + 4);
    }
    uint8_t out[1024] = {P_DATA}, *command = out + 12, group[4];
    size_t size = 12;
    size += element(command + size, 0x0002, values[0x0002], lengths[0x0002]);
    size += element(command + size, 0x0100, "\x01\x80", 2);
    size += element(command + size, 0x0120, values[0x0110], 2);
    size += element(command + size, 0x0800, "\x01\x01", 2);
    size += element(command + size, 0x0900, "\0\0", 2);
    size += element(command + size, 0x1000, values[0x1000], lengths[0x1000]);
    group[0] = size - 12, group[1] = (size - 12) >> 8, group[2] = group[3] = 0;
    element(command, 0x0000, group, 4);
    put_big32(out + 2, size + 6), put_big32(out + 6, size + 2);
    out[10] = one->context, out[11] = 3;
    put(one->socket, out, 12 + size);
    one->whole = 0, one->length = 0;
}

static void values_of(struct association *one, const uint8_t *at, const uint8_t *end) {
    for (; at + 6 <= end; at += 4 + big32(at)) {
        size_t length = big32(at) - 2;
        one->context = at[4];
        if (at[5] & 1) {
            memcpy(one->command, at + 6, one->command_length = length);
        } else {
            memcpy(one->data_set + one->length, at + 6, length);
            one->length += length, one->whole = at[5] & 2;
        }
    }
}

static void read_pdus(struct association *one) {
    static const uint8_t released[10] = {6, 0, 0, 0, 0, 4};
    size_t at = 0;
    while (one->received - at >= 6) {
        const uint8_t *pdu = one->buffer + at;
        uint32_t length = big32(pdu + 2);
        if (one->received - at < 6 + length)
            break;
        if (pdu[0] == ASSOCIATE_RQ)
            accept_association(one, pdu + 6, length);
        else if (pdu[0] == P_DATA)
            values_of(one, pdu + 6, pdu + 6 + length);
        else if (pdu[0] == RELEASE_RQ)
            put(one->socket, released, sizeof released);
        at += 6 + length;
    }
    memmove(one->buffer, one->buffer + at, one->received -= at);
}

static void store(const struct association *one, int file) {
    static off_t end;
    size_t span = (one->length + BLOCK - 1) / BLOCK * BLOCK;
    if (end + span > FILLED)
        end = 0;
    if (pwrite(file, one->data_set, one->length, end) < 0)
        exit(4);
    if (one->length >= START_WRITING)
        sync_file_range(file, end, span, SYNC_FILE_RANGE_WRITE);
    end += span;
}

static int filled(const char *folder) {
    char name[4096];
    snprintf(name, sizeof name, "%s/journal", folder);
    int file = open(name, O_RDWR | O_CREAT, 0600);
    char *some = malloc(1 << 20);
    memset(some, 1, 1 << 20);
    for (off_t at = 0; at < FILLED; at += 1 << 20)
        if (pwrite(file, some, 1 << 20, at) < 0)
            exit(5);
    free(some);
    fsync(file);
    return file;
}

static void take_in(int listening, int poll) {
    int socket = accept4(listening, NULL, NULL, SOCK_NONBLOCK), one = 1;
    if (socket < 0)
        return;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct association *made = calloc(1, sizeof *made);
    made->socket = socket;
    epoll_ctl(poll, EPOLL_CTL_ADD, socket, &(struct epoll_event){EPOLLIN, {.ptr = made}});
}

int main(int count, char **arguments) {
    if (count != 3)
        return 1;
    int file = filled(arguments[2]), listening = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0), one = 1;
    struct sockaddr_in here = {AF_INET, htons(atoi(arguments[1])), {htonl(INADDR_LOOPBACK)}, {0}};
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listening, (struct sockaddr *)&here, sizeof here) || listen(listening, MOST))
        return 2;
    epoll_ctl(poll, EPOLL_CTL_ADD, listening, &(struct epoll_event){EPOLLIN, {.ptr = NULL}});
    for (;;) {
        struct epoll_event ready[MOST];
        struct association *whole[MOST];
        int number = epoll_wait(poll, ready, MOST, -1), complete = 0;
        for (int n = 0; n < number; n++) {
            struct association *of = ready[n].data.ptr;
            if (!of) {
                take_in(listening, poll);
                continue;
            }
            ssize_t size = read(of->socket, of->buffer + of->received, BUFFER - of->received);
            if (size <= 0) {
                close(of->socket);
                free(of);
                continue;
            }
            of->received += size;
            read_pdus(of);
            if (of->whole)
                store(whole[complete++] = of, file);
        }
        if (complete)
            fdatasync(file);
        for (int n = 0; n < complete; n++)
            answer(whole[n]);
    }
}
