/* load: a closed loop of SMTP sessions. Each session hands over one message, waits for its answer, and takes the next.
 *
 *   load -p PORT -n MESSAGES -c SESSIONS -k MESSAGES_A_SESSION -t FOLDER [-s starttls|implicit|none] [-a USER:PASSWORD] [-P]
 *
 * FOLDER holds 00.eml .. 99.eml, dot-stuffed, the message of sender domain dNN.example; RRRRRRRRRR in them becomes the
 * message's number and "@rDD." its recipient's domain. -P sends MAIL, RCPT and DATA in one go.
 * Prints one line of JSON; refusals and lost connections are counted, the first few told on stderr.
 * A message's time runs from MAIL to the answer to the final dot. cc -O2 -o load load.c -lssl -lcrypto */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { TEMPLATES = 100, RECIPIENT_DOMAINS = 20, MOST_MARKS = 32, NUMBER = 10, LIMIT_SECONDS = 900 };
enum security { NONE, STARTTLS, IMPLICIT };
enum state { GREETING, HELLO, TLS_GO, HELLO_AGAIN, AUTH, MAIL, RCPT, DATA, BODY, RESET, BYE, OVER };
static const char *const state_names[] = {"greeting", "EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "the dot", "RSET", "QUIT", ""};

struct template {
    char *text;
    size_t size;
    size_t numbers[MOST_MARKS], domains[MOST_MARKS];
    int number_count, domain_count;
};

struct session {
    int fd;
    SSL *ssl;
    enum state state;
    int messages, number, handshaking, wants_write;
    double began;
    char in[8192];
    size_t in_size;
    char *out;
    size_t out_size, out_done, out_room;
};

static int port, total = 1000, session_count = 20, per_session = 100, pipelined;
static enum security security;
static const char *folder;
static char auth_line[1024];
static struct template templates[TEMPLATES];
static SSL_CTX *tls;
static int epoll_fd, started, accepted, failed, over, told;
static double first, last;
static float *times;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what) {
    perror(what);
    exit(2);
}

static void tell(const char *form, ...) {
    if (told++ >= 5) return;
    va_list arguments;
    va_start(arguments, form);
    vfprintf(stderr, form, arguments);
    va_end(arguments);
}

/* --- what is sent --- */

static int find_marks(const struct template *t, const char *mark, size_t offset, size_t *places) {
    int count = 0;
    for (const char *p = t->text; (p = strstr(p, mark)) && count < MOST_MARKS; p++) places[count++] = (size_t)(p - t->text) + offset;
    return count;
}

static void read_templates(void) {
    for (int i = 0; i < TEMPLATES; i++) {
        struct template *t = &templates[i];
        char path[1024];
        snprintf(path, sizeof path, "%s/%02d.eml", folder, i);
        FILE *file = fopen(path, "rb");
        if (!file) die(path);
        fseek(file, 0, SEEK_END);
        t->size = (size_t)ftell(file);
        rewind(file);
        t->text = malloc(t->size + 4);
        if (fread(t->text, 1, t->size, file) != t->size) die(path);
        fclose(file);
        memcpy(t->text + t->size, ".\r\n", 4);
        t->size += 3;
        t->number_count = find_marks(t, "RRRRRRRRRR", 0, t->numbers);
        t->domain_count = find_marks(t, "@rDD.", 2, t->domains);
    }
}

static void put(struct session *s, const char *data, size_t size) {
    if (s->out_done == s->out_size) s->out_done = s->out_size = 0;
    if (s->out_size + size > s->out_room) s->out = realloc(s->out, s->out_room = (s->out_size + size) * 2);
    memcpy(s->out + s->out_size, data, size);
    s->out_size += size;
}

static void say(struct session *s, enum state next, const char *form, ...) {
    char line[1024];
    va_list arguments;
    va_start(arguments, form);
    int size = vsnprintf(line, sizeof line, form, arguments);
    va_end(arguments);
    put(s, line, (size_t)size);
    s->state = next;
}

static void say_body(struct session *s) {
    const struct template *t = &templates[s->number % TEMPLATES];
    put(s, t->text, t->size);
    char *text = s->out + s->out_size - t->size, number[16], domain[16];
    snprintf(number, sizeof number, "%010d", s->number);
    snprintf(domain, sizeof domain, "%02d", s->number % RECIPIENT_DOMAINS);
    for (int i = 0; i < t->number_count; i++) memcpy(text + t->numbers[i], number, NUMBER);
    for (int i = 0; i < t->domain_count; i++) memcpy(text + t->domains[i], domain, 2);
    s->state = BODY;
}

static void say_rcpt(struct session *s) {
    say(s, RCPT, "RCPT TO:<u%010d@r%02d.example>\r\n", s->number, s->number % RECIPIENT_DOMAINS);
}

static void next_message(struct session *s) {
    if (started >= total || s->messages >= per_session) {
        say(s, BYE, "QUIT\r\n");
        return;
    }
    s->number = started++;
    s->messages++;
    s->began = now();
    say(s, MAIL, "MAIL FROM:<orders@d%02d.example>\r\n", s->number % TEMPLATES);
    if (pipelined) {
        say_rcpt(s);
        say(s, MAIL, "DATA\r\n");
    }
}

static void logged_in_or_not_yet(struct session *s) {
    if (*auth_line)
        say(s, AUTH, "%s", auth_line);
    else
        next_message(s);
}

/* --- sessions --- */

static void want(struct session *s, int write) {
    if (s->wants_write == write) return;
    s->wants_write = write;
    struct epoll_event event = {.events = EPOLLIN | (write ? EPOLLOUT : 0), .data.ptr = s};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, s->fd, &event);
}

static void start_tls(struct session *s) {
    s->ssl = SSL_new(tls);
    SSL_set_fd(s->ssl, s->fd);
    SSL_set_connect_state(s->ssl);
    s->handshaking = 1;
    SSL_do_handshake(s->ssl); /* we speak first; what it says is looked at when there is something to read */
}

static void start(struct session *s) {
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    for (int tries = 0; connect(s->fd, (struct sockaddr *)&address, sizeof address) < 0; tries++) {
        if (tries > 200) die("connect");
        usleep(10000);
    }
    fcntl(s->fd, F_SETFL, O_NONBLOCK);
    s->state = GREETING;
    s->in_size = s->out_size = s->out_done = 0;
    s->messages = s->wants_write = s->handshaking = 0;
    s->ssl = NULL;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &event);
    if (security == IMPLICIT) start_tls(s);
}

static void end(struct session *s, const char *why) {
    if (s->state != BYE && s->state != OVER) {
        failed++;
        tell("lost while waiting for the answer to %s: %s\n", state_names[s->state], why);
    }
    if (s->ssl) SSL_free(s->ssl);
    close(s->fd);
    s->ssl = NULL;
    if (started < total && failed < 1000) {
        start(s);
    } else {
        s->state = OVER;
        over++;
    }
}

/* The wire, with or without TLS: bytes, 0 for "not now", -1 for "never again". */
static long receive(struct session *s, char *to, size_t room) {
    if (s->ssl) {
        int got = SSL_read(s->ssl, to, (int)room);
        if (got > 0) return got;
        int why = SSL_get_error(s->ssl, got);
        return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
    }
    ssize_t got = read(s->fd, to, room);
    return got > 0 ? got : got < 0 && errno == EAGAIN ? 0 : -1;
}

static long transmit(struct session *s, const char *from, size_t size) {
    if (s->ssl) {
        int done = SSL_write(s->ssl, from, (int)size);
        if (done > 0) return done;
        int why = SSL_get_error(s->ssl, done);
        return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
    }
    ssize_t done = write(s->fd, from, size);
    return done > 0 ? done : done < 0 && errno == EAGAIN ? 0 : -1;
}

static int write_out(struct session *s) {
    while (s->out_done < s->out_size) {
        long done = transmit(s, s->out + s->out_done, s->out_size - s->out_done);
        if (done < 0) return -1;
        if (done == 0) {
            want(s, 1);
            return 0;
        }
        s->out_done += (size_t)done;
    }
    want(s, 0);
    return 0;
}

static void refused(struct session *s, const char *line) {
    failed++;
    tell("%s: %.120s\n", state_names[s->state], line);
    if (s->state < MAIL || pipelined)
        say(s, BYE, "QUIT\r\n");
    else
        say(s, RESET, "RSET\r\n");
}

static void answer(struct session *s, int code, const char *line) {
    static const int wanted[] = {220, 250, 220, 250, 235, 250, 250, 354, 250, 250, 0, 0};
    if (s->state == BYE || s->state == OVER) return;
    if (code != wanted[s->state]) {
        refused(s, line);
        return;
    }
    switch (s->state) {
    case GREETING: say(s, HELLO, "EHLO load.example\r\n"); break;
    case HELLO:
        if (security == STARTTLS)
            say(s, TLS_GO, "STARTTLS\r\n");
        else
            logged_in_or_not_yet(s);
        break;
    case TLS_GO: start_tls(s); break;
    case HELLO_AGAIN: logged_in_or_not_yet(s); break;
    case AUTH: next_message(s); break;
    case MAIL: pipelined ? (void)(s->state = RCPT) : say_rcpt(s); break;
    case RCPT: pipelined ? (void)(s->state = DATA) : say(s, DATA, "DATA\r\n"); break;
    case DATA: say_body(s); break;
    case BODY:
        last = now();
        times[accepted++] = (float)((last - s->began) * 1e3);
        next_message(s);
        break;
    case RESET: next_message(s); break;
    default: break;
    }
}

static void read_answers(struct session *s) {
    char *line = s->in, *line_end;
    while ((line_end = memchr(line, '\n', s->in_size - (size_t)(line - s->in)))) {
        *line_end = 0;
        if (line_end - line >= 3 && line[3] != '-') answer(s, atoi(line), line);
        line = line_end + 1;
    }
    s->in_size -= (size_t)(line - s->in);
    memmove(s->in, line, s->in_size);
}

static void serve(struct session *s) {
    if (s->handshaking) {
        int done = SSL_do_handshake(s->ssl);
        if (done != 1) {
            int why = SSL_get_error(s->ssl, done);
            if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) end(s, "the TLS handshake failed");
            return;
        }
        s->handshaking = 0;
        if (security == STARTTLS) say(s, HELLO_AGAIN, "EHLO load.example\r\n");
    }
    for (;;) {
        long got = receive(s, s->in + s->in_size, sizeof s->in - 1 - s->in_size);
        if (got < 0) {
            end(s, "the server closed the connection");
            return;
        }
        if (got == 0) break;
        s->in_size += (size_t)got;
        read_answers(s);
        if (s->handshaking) return serve(s);
    }
    if (write_out(s) < 0) end(s, "it could not be written to");
}

/* --- the run --- */

static void read_auth(const char *given) {
    unsigned char plain[512];
    const char *colon = strchr(given, ':');
    if (!colon) die("-a USER:PASSWORD");
    int size = snprintf((char *)plain, sizeof plain, "%c%.*s%c%s", 0, (int)(colon - given), given, 0, colon + 1);
    char coded[1000];
    EVP_EncodeBlock((unsigned char *)coded, plain, size);
    snprintf(auth_line, sizeof auth_line, "AUTH PLAIN %s\r\n", coded);
}

static void read_arguments(int count, char **values) {
    for (int option; (option = getopt(count, values, "p:n:c:k:t:s:a:P")) > 0;) switch (option) {
        case 'p': port = atoi(optarg); break;
        case 'n': total = atoi(optarg); break;
        case 'c': session_count = atoi(optarg); break;
        case 'k': per_session = atoi(optarg); break;
        case 't': folder = optarg; break;
        case 's': security = *optarg == 's' ? STARTTLS : *optarg == 'i' ? IMPLICIT : NONE; break;
        case 'a': read_auth(optarg); break;
        case 'P': pipelined = 1; break;
        default: exit(2);
        }
    if (!port || !folder) exit(2);
    if (session_count > total) session_count = total;
}

static int compare(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void report(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    qsort(times, (size_t)accepted, sizeof *times, compare);
    printf("{\"accepted\": %d, \"failed\": %d, \"first\": %.6f, \"last\": %.6f, \"p50\": %.2f, \"p99\": %.2f, \"max\": %.2f, \"cpu\": %.3f}\n",
           accepted, failed, first, last, accepted ? times[accepted / 2] : 0, accepted ? times[accepted * 99 / 100] : 0,
           accepted ? times[accepted - 1] : 0,
           (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6);
}

int main(int count, char **values) {
    read_arguments(count, values);
    read_templates();
    tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL); /* whose certificate it is is not what is measured */
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
    times = malloc(sizeof *times * (size_t)(total + 1));
    epoll_fd = epoll_create1(0);
    struct session *sessions = calloc((size_t)session_count, sizeof *sessions);
    first = last = now();
    for (int i = 0; i < session_count; i++) start(&sessions[i]);
    struct epoll_event events[256];
    while (over < session_count && now() < first + LIMIT_SECONDS) {
        int ready = epoll_wait(epoll_fd, events, 256, 1000);
        for (int i = 0; i < ready; i++) serve(events[i].data.ptr);
    }
    report();
    return 0;
}
