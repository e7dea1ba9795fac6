/* sink: an SMTP server that takes everything, keeps nothing and counts. `sink PORT`; writes "mesg=N" and CR, as smtp-sink -c does.
 * cc -O2 -o sink sink.c */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char end_of_data[] = "\r\n.\r\n";

struct session {
    int fd, in_data, matched; /* matched: bytes of end_of_data seen last */
    char line[1024];
    size_t line_size;
};

static int epoll_fd;
static unsigned long messages;

static void say(struct session *s, const char *text) {
    /* Answers are short and wait for questions: the socket's buffer always has room for them. */
    if (write(s->fd, text, strlen(text)) < 0 && errno != EPIPE && errno != ECONNRESET) perror("write");
}

static int obey(struct session *s) {
    if (!strncasecmp(s->line, "EHLO", 4)) {
        say(s, "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 50000000\r\n");
    } else if (!strncasecmp(s->line, "DATA", 4)) {
        say(s, "354 go on\r\n");
        s->in_data = 1;
        s->matched = 2; /* the CRLF of the command itself may come before the dot */
    } else if (!strncasecmp(s->line, "QUIT", 4)) {
        say(s, "221 bye\r\n");
        return -1;
    } else {
        say(s, "250 ok\r\n");
    }
    return 0;
}

static const char *take_data(struct session *s, const char *p, const char *stop) {
    while (p < stop && s->in_data) {
        if (s->matched == 0 && !(p = memchr(p, '\r', (size_t)(stop - p)))) return stop;
        if (*p == end_of_data[s->matched])
            s->matched++;
        else
            s->matched = *p == '\r';
        p++;
        if (s->matched == (int)sizeof end_of_data - 1) {
            s->in_data = s->matched = 0;
            messages++;
            say(s, "250 taken\r\n");
        }
    }
    return p;
}

static int take(struct session *s, const char *p, const char *stop) {
    while (p < stop) {
        if (s->in_data) {
            p = take_data(s, p, stop);
            continue;
        }
        if (*p == '\n') {
            s->line[s->line_size] = 0;
            s->line_size = 0;
            if (obey(s) < 0) return -1;
        } else if (s->line_size < sizeof s->line - 1) {
            s->line[s->line_size++] = *p;
        }
        p++;
    }
    return 0;
}

static void meet(int listener) {
    struct session *s = calloc(1, sizeof *s);
    s->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    int one = 1;
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &event);
    say(s, "220 sink.example ESMTP\r\n");
}

static void serve(struct session *s) {
    static char data[1 << 16];
    ssize_t got = read(s->fd, data, sizeof data);
    if (got <= 0 || take(s, data, data + got) < 0) {
        close(s->fd);
        free(s);
    }
}

int main(int count, char **values) {
    if (count != 2) return 2;
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(values[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 1024) < 0) {
        perror("listen");
        return 2;
    }
    epoll_fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    for (unsigned long told = 0;;) {
        int ready = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < ready; i++) events[i].data.ptr ? serve(events[i].data.ptr) : meet(listener);
        if (told != messages) {
            printf("mesg=%lu\r", told = messages);
            fflush(stdout);
        }
    }
}
