/* Makes one system call on the disk fail, as a bad disk does. Loaded by LD_PRELOAD; tests/support/failing_calls.rs compiles it.
 *
 * A seccomp filter sends the calls that change files here as SIGSYS, also those that pass libc by; the handler makes them itself, or not.
 *   FAILING_ROOT    what lies below this folder counts, nothing else
 *   FAILING_CALLS   which calls count: `all`, those that take `space`, or those that `sync`
 *   FAILING_AT      the number of the first one that fails, from 1; 0: none
 *   FAILING_UNTIL   the number of the last one that fails
 *   FAILING_ERRNO   with this number; a write that finds no space (ENOSPC) writes half of its bytes the first time
 *   FAILING_REPORT  a file that gets the number of calls that counted
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#if !defined(__x86_64__)
#error "written for x86-64"
#endif

enum { PATH_BYTES = 4096 };

/* Those that take space, then those that sync, then the others. */
static const int CALLS[] = {
    SYS_open, SYS_openat, SYS_openat2, SYS_creat, SYS_mkdir, SYS_mkdirat,
    SYS_write, SYS_pwrite64, SYS_writev, SYS_pwritev, SYS_fallocate,
    SYS_rename, SYS_renameat, SYS_renameat2, SYS_link, SYS_linkat,
    SYS_fsync, SYS_fdatasync, SYS_syncfs,
    SYS_ftruncate, SYS_unlink, SYS_unlinkat, SYS_rmdir,
};
enum { ALL = sizeof CALLS / sizeof *CALLS, TAKE_SPACE = 16, SYNC = 3 };

static char root[PATH_BYTES];
static size_t root_bytes;
/* The calls that count: so many, from this one on. */
static size_t counted, counted_from;
static long first, last, error_number, calls;

/* The filter lets calls from this place through. */
long failing_raw(long number, long a, long b, long c, long d, long e, long f);
extern char failing_raw_end[];
__asm__(".globl failing_raw\nfailing_raw:\n"
        "mov %rdi, %rax\nmov %rsi, %rdi\nmov %rdx, %rsi\nmov %rcx, %rdx\nmov %r8, %r10\nmov %r9, %r8\nmov 8(%rsp), %r9\nsyscall\n"
        ".globl failing_raw_end\nfailing_raw_end:\nret\n");

static int is_below(const char *path) {
    return strncmp(path, root, root_bytes) == 0 && (path[root_bytes] == '/' || path[root_bytes] == 0);
}

static int is_handle_below(long handle) {
    char link[64], path[PATH_BYTES];
    /* Not snprintf: this may run in the middle of anything. */
    char digits[24];
    int length = 0;
    if (handle < 0) return 0;
    do digits[length++] = (char)('0' + handle % 10); while ((handle /= 10) > 0);
    strcpy(link, "/proc/self/fd/");
    size_t at = strlen(link);
    while (length > 0) link[at++] = digits[--length];
    link[at] = 0;
    long read = failing_raw(SYS_readlink, (long)link, (long)path, sizeof path - 1, 0, 0, 0);
    if (read < 0) return 0;
    path[read] = 0;
    return is_below(path);
}

static int is_path_below(long folder, long path) {
    return *(const char *)path == '/' ? is_below((const char *)path) : is_handle_below(folder);
}

static int writes(long flags) { return (flags & (O_WRONLY | O_RDWR | O_CREAT)) != 0; }

static int counts(int number, const long *arg) {
    switch (number) {
    case SYS_open: return writes(arg[1]) && is_path_below(AT_FDCWD, arg[0]);
    case SYS_openat: return writes(arg[2]) && is_path_below(arg[0], arg[1]);
    case SYS_openat2: return writes((long)*(const uint64_t *)arg[2]) && is_path_below(arg[0], arg[1]);
    case SYS_creat: case SYS_mkdir: case SYS_unlink: case SYS_rmdir: return is_path_below(AT_FDCWD, arg[0]);
    case SYS_mkdirat: case SYS_unlinkat: return is_path_below(arg[0], arg[1]);
    case SYS_rename: case SYS_link: return is_path_below(AT_FDCWD, arg[1]);
    case SYS_renameat: case SYS_renameat2: case SYS_linkat: return is_path_below(arg[2], arg[3]);
    default: return is_handle_below(arg[0]);
    }
}

static void on_call(int signal, siginfo_t *info, void *context) {
    (void)signal;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const long arg[] = {registers[REG_RDI], registers[REG_RSI], registers[REG_RDX], registers[REG_R10], registers[REG_R8], registers[REG_R9]};
    int number = info->si_syscall;
    int saved = errno;
    long length = arg[2];
    if (counts(number, arg)) {
        long call = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
        if (first > 0 && call >= first && call <= last) {
            int is_torn = number == SYS_write && error_number == ENOSPC && call == first && length > 1;
            if (!is_torn) {
                registers[REG_RAX] = -error_number;
                return;
            }
            length /= 2;
        }
    }
    registers[REG_RAX] = failing_raw(number, arg[0], arg[1], length, arg[3], arg[4], arg[5]);
    errno = saved;
}

static long number_of(const char *name) {
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

static void give_up(const char *why) {
    perror(why);
    _exit(125);
}

__attribute__((constructor)) static void start(void) {
    const char *folder = getenv("FAILING_ROOT"), *kind = getenv("FAILING_CALLS");
    if (!folder || !kind || strlen(folder) >= sizeof root) return;
    strcpy(root, folder);
    root_bytes = strlen(root);
    counted = !strcmp(kind, "space") ? TAKE_SPACE : !strcmp(kind, "sync") ? SYNC : ALL;
    counted_from = counted == SYNC ? TAKE_SPACE : 0;
    first = number_of("FAILING_AT");
    last = number_of("FAILING_UNTIL");
    error_number = number_of("FAILING_ERRNO");
    /* A program that this one starts would have the filter and no handler. */
    unsetenv("LD_PRELOAD");

    struct sigaction action = {.sa_sigaction = on_call, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART};
    if (sigaction(SIGSYS, &action, NULL)) give_up("sigaction");
    uint64_t here = (uint64_t)failing_raw_end;
    struct sock_filter filter[ALL + 8] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)here, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(here >> 32), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    };
    size_t length = 6;
    for (size_t i = 0; i < counted; i++)
        filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)CALLS[counted_from + i], (uint8_t)(counted - i), 0);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    struct sock_fprog program = {.len = (unsigned short)length, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) give_up("seccomp");
}

__attribute__((destructor)) static void report(void) {
    const char *path = getenv("FAILING_REPORT");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    fprintf(file, "%ld\n", calls);
    fclose(file);
}
