/* What a host process does to a module: loads it, asks, forks, ends. One case for each run.
 *
 * usage: process MODULE CASE
 *
 * The numbers are written out, because a C program without the standard's headers is the client
 * that takes nothing from the module's side.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef unsigned long ck;
typedef unsigned char byte;

enum {
    OK = 0,
    ARGUMENTS_BAD = 7,
    TOO_SMALL = 0x150,
    NOT_SUPPORTED = 0x54,
    NOT_PARALLEL = 0x51,
    NO_SESSION = 0xB3,
    NOT_LOGGED_IN = 0x101,
    PARALLEL = 0xB4,
    NOT_INITIALIZED = 0x190,
    ALREADY_INITIALIZED = 0x191,
};

struct attribute { ck type; void *value; ck len; };
struct interface { const char *name; void *list; ck flags; };
struct list { byte major, minor; ck (*functions[104])(); };

static void *module;
static const char *path;
static ck (*Initialize)(void *), (*Finalize)(void *), (*GetInfo)(void *);
static ck (*GetSlotList)(byte, ck *, ck *), (*CloseAllSessions)(ck);
static ck (*OpenSession)(ck, ck, void *, void *, ck *), (*CloseSession)(ck), (*Logout)(ck);

#define CHECK(is, wanted) check(__LINE__, #is, (ck)(is), (ck)(wanted))
static void check(int line, const char *text, ck is, ck wanted)
{
    if (is != wanted) {
        fprintf(stderr, "line %d: %s is %#lx, not %#lx\n", line, text, is, wanted);
        _exit(1);
    }
}

static void *symbol(const char *name)
{
    void *found = dlsym(module, name);
    if (!found) {
        fprintf(stderr, "no %s\n", name);
        _exit(1);
    }
    return found;
}

static void load(void)
{
    module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!module) {
        fprintf(stderr, "%s\n", dlerror());
        _exit(1);
    }
    Initialize = symbol("C_Initialize");
    Finalize = symbol("C_Finalize");
    GetInfo = symbol("C_GetInfo");
    GetSlotList = symbol("C_GetSlotList");
    CloseAllSessions = symbol("C_CloseAllSessions");
    OpenSession = symbol("C_OpenSession");
    CloseSession = symbol("C_CloseSession");
    Logout = symbol("C_Logout");
}

static ck slots(void)
{
    ck count = 0;
    return GetSlotList(0, NULL, &count);
}

/* Exit handlers: each call is refused, and none crashes. */
static void mostly_refused(void)
{
    byte info[256];
    CHECK(slots(), NOT_INITIALIZED);
    CHECK(GetInfo(info), NOT_INITIALIZED);
    CHECK(Finalize(NULL), NOT_INITIALIZED);
    CHECK(Initialize(NULL), NOT_INITIALIZED);
    puts("refused");
    fflush(stdout);
}

static void refused(void)
{
    CHECK(CloseAllSessions(0), NOT_INITIALIZED);
    CHECK(CloseSession(1), NOT_INITIALIZED);
    CHECK(Logout(1), NOT_INITIALIZED);
    mostly_refused();
}

/* A thread that is not the first ends, perhaps with the process: it may still close sessions. */
static void refused_but_closing(void)
{
    CHECK(CloseSession(99), NO_SESSION);
    CHECK(Logout(99), NO_SESSION);
    mostly_refused();
}

static void *exits(void *unused)
{
    CHECK(slots(), OK);
    exit(0);
}

static void exit_handler_before(void)
{
    atexit(refused);
    load();
    CHECK(Initialize(NULL), OK);
    exit(0);
}

static void exit_handler_after(void)
{
    load();
    CHECK(Initialize(NULL), OK);
    CHECK(slots(), OK);
    atexit(refused);
    exit(0);
}

static void exit_of_a_thread(void)
{
    pthread_t thread;
    load();
    atexit(refused);
    CHECK(Initialize(NULL), OK);
    atexit(refused_but_closing);
    pthread_create(&thread, NULL, exits, NULL);
    pause();
}

/* A thread closes its session in its last moments, and the process goes on. */
static void closes(void *session)
{
    ck handle = (ck)session;
    CHECK(slots(), NOT_INITIALIZED);
    CHECK(Logout(handle), NOT_LOGGED_IN);
    CHECK(CloseSession(handle), OK);
    CHECK(CloseSession(handle), NO_SESSION);
}

static pthread_key_t at_its_end;

static void *opens(void *unused)
{
    ck list[64], count = 64, handle;
    CHECK(GetSlotList(0, list, &count), OK);
    CHECK(OpenSession(list[0], 4, NULL, NULL, &handle), OK);
    pthread_setspecific(at_its_end, (void *)handle);
    return (void *)handle;
}

static void thread_ends(void)
{
    pthread_t thread;
    void *handle;
    load();
    ck (*InitToken)(ck, const char *, ck, const char *) = symbol("C_InitToken");
    ck list[64], count = 64;
    CHECK(Initialize(NULL), OK);
    CHECK(GetSlotList(0, list, &count), OK);
    CHECK(InitToken(list[0], "1234", 4, "0123456789abcdef0123456789abcdef"), OK);
    pthread_key_create(&at_its_end, closes);
    pthread_create(&thread, NULL, opens, NULL);
    pthread_join(thread, &handle);
    CHECK(CloseSession((ck)handle), NO_SESSION);
    CHECK(Finalize(NULL), OK);
}

static void *works(void *unused)
{
    CHECK(Initialize(NULL), OK);
    CHECK(slots(), OK);
    return NULL;
}

static void exit_of_a_thread_that_never_called(void)
{
    pthread_t thread;
    atexit(refused);
    load();
    pthread_create(&thread, NULL, works, NULL);
    pthread_join(thread, NULL);
    exit(0);
}

static void exit_after_unloading(void)
{
    load();
    CHECK(Initialize(NULL), OK);
    dlclose(module);
    CHECK(slots(), OK);
    atexit(refused);
    exit(0);
}

static void exit_after_finalizing(void)
{
    load();
    CHECK(Initialize(NULL), OK);
    CHECK(Finalize(NULL), OK);
    atexit(refused);
    exit(0);
}

/* Calls go on in other threads while the process ends. */
static void *hammers(void *unused)
{
    for (;;) {
        ck answer = slots();
        if (answer != OK)
            CHECK(answer, NOT_INITIALIZED);
    }
}

static void exit_during_calls(void)
{
    pthread_t thread;
    load();
    CHECK(Initialize(NULL), OK);
    for (int i = 0; i < 4; i++)
        pthread_create(&thread, NULL, hammers, NULL);
    usleep(20000);
    atexit(refused);
    exit(0);
}

/* The first thread leaves, and the process goes on. */
static void *stays(void *unused)
{
    usleep(50000);
    CHECK(slots(), OK);
    CHECK(Finalize(NULL), OK);
    puts("stayed");
    fflush(stdout);
    _exit(0);
}

static void main_thread_leaves(void)
{
    pthread_t thread;
    load();
    CHECK(Initialize(NULL), OK);
    pthread_create(&thread, NULL, stays, NULL);
    pthread_exit(NULL);
}

/* A child starts without a module, whatever the parent's threads were doing. */
static void in_child(void)
{
    byte info[256];
    CHECK(GetInfo(info), NOT_INITIALIZED);
    CHECK(slots(), NOT_INITIALIZED);
    CHECK(Finalize(NULL), NOT_INITIALIZED);
    CHECK(Initialize(NULL), OK);
    CHECK(Initialize(NULL), ALREADY_INITIALIZED);
    CHECK(slots(), OK);
    CHECK(Finalize(NULL), OK);
}

static void wait_for(pid_t child)
{
    int status;
    CHECK(waitpid(child, &status, 0), child);
    CHECK(status, 0);
}

static void forks(void)
{
    load();
    CHECK(Initialize(NULL), OK);
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        if (child == 0) {
            in_child();
            /* And so do the children of children. */
            CHECK(Initialize(NULL), OK);
            pid_t grandchild = fork();
            if (grandchild == 0) {
                in_child();
                exit(0);
            }
            wait_for(grandchild);
            CHECK(slots(), OK);
            exit(0);
        }
        wait_for(child);
        CHECK(slots(), OK);
    }
    CHECK(Finalize(NULL), OK);
    pid_t child = fork();
    if (child == 0) {
        in_child();
        exit(0);
    }
    wait_for(child);
}

static void forks_during_calls(void)
{
    pthread_t thread;
    load();
    CHECK(Initialize(NULL), OK);
    for (int i = 0; i < 4; i++)
        pthread_create(&thread, NULL, hammers, NULL);
    for (int i = 0; i < 40; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            in_child();
            exit(0);
        }
        wait_for(child);
    }
    CHECK(slots(), OK);
    _exit(0);
}

static void *restarts(void *unused)
{
    for (;;) {
        Initialize(NULL);
        Finalize(NULL);
    }
}

/* Forks while two threads start and stop the module, by this configuration or the one that holds;
 * children have the one that holds. */
static void forks_while_others_start(const char *configuration)
{
    pthread_t thread;
    char *children = strdup(getenv("STRONGROOM_CONF"));
    if (configuration)
        setenv("STRONGROOM_CONF", configuration, 1);
    load();
    for (int i = 0; i < 2; i++)
        pthread_create(&thread, NULL, restarts, NULL);
    for (int i = 0; i < 40; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            setenv("STRONGROOM_CONF", children, 1);
            in_child();
            exit(0);
        }
        wait_for(child);
    }
    _exit(0);
}

static void forks_during_starts(void)
{
    forks_while_others_start(NULL);
}

static void forks_during_failing_starts(void)
{
    forks_while_others_start("/nonexistent");
}

/* Of many threads, one initialises. */
static pthread_barrier_t together;

static void *starts(void *unused)
{
    pthread_barrier_wait(&together);
    ck answer = Initialize(NULL);
    if (answer != OK)
        CHECK(answer, ALREADY_INITIALIZED);
    return answer == OK ? module : NULL;
}

static void threads_start_it_once(void)
{
    load();
    pthread_barrier_init(&together, NULL, 8);
    for (int round = 0; round < 20; round++) {
        pthread_t threads[8];
        ck started = 0;
        for (int i = 0; i < 8; i++)
            pthread_create(&threads[i], NULL, starts, NULL);
        for (int i = 0; i < 8; i++) {
            void *one;
            pthread_join(threads[i], &one);
            started += one != NULL;
        }
        CHECK(started, 1);
        CHECK(Finalize(NULL), OK);
    }
}

static void ends_during_calls(void)
{
    pthread_t thread;
    load();
    for (int i = 0; i < 4; i++)
        pthread_create(&thread, NULL, hammers, NULL);
    for (int i = 0; i < 50; i++) {
        CHECK(Initialize(NULL), OK);
        usleep(500);
        CHECK(Finalize(NULL), OK);
    }
    _exit(0);
}

/* Arguments of C_Initialize. */
static void initialize_arguments(void)
{
    char memory[1 + 6 * sizeof(ck)];
    ck args[6] = { 0 };
    load();
    CHECK(Finalize(NULL), NOT_INITIALIZED);
    CHECK(Finalize((void *)1), ARGUMENTS_BAD);
    args[5] = 1;
    CHECK(Initialize(args), ARGUMENTS_BAD);
    args[5] = 0;
    args[0] = (ck)exits;
    CHECK(Initialize(args), ARGUMENTS_BAD);
    args[1] = args[2] = args[3] = (ck)exits;
    CHECK(Initialize(args), OK);
    CHECK(Initialize(args), ALREADY_INITIALIZED);
    CHECK(Finalize(NULL), OK);
    memset(args, 0, sizeof args);
    args[4] = 2;
    memcpy(memory + 1, args, sizeof args);
    CHECK(Initialize(memory + 1), OK);
    CHECK(Finalize(NULL), OK);
}

/* Starts that fail: for their arguments, and for what the module finds. */
static void start_fails(void)
{
    ck args[6] = { 0, 0, 0, 0, 0, 1 };
    load();
    CHECK(Initialize(args), ARGUMENTS_BAD);
    CHECK(Initialize(NULL) != OK, 1);
}

/* A start and an end. */
static void starts_twice(void)
{
    load();
    CHECK(Initialize(NULL), OK);
    CHECK(Finalize(NULL), OK);
    CHECK(Initialize(NULL), OK);
}

/* Interfaces and function lists, of which nothing needs C_Initialize. */
static void interfaces(void)
{
    load();
    ck (*GetFunctionList)(struct list **) = symbol("C_GetFunctionList");
    ck (*GetInterfaceList)(struct interface *, ck *) = symbol("C_GetInterfaceList");
    ck (*GetInterface)(const char *, byte *, struct interface **, ck) = symbol("C_GetInterface");

    struct list *list;
    CHECK(GetFunctionList(NULL), ARGUMENTS_BAD);
    CHECK(GetFunctionList(&list), OK);
    CHECK(list->major, 2);
    CHECK(list->minor, 40);
    CHECK(list->functions[0], Initialize);
    CHECK(list->functions[67], symbol("C_WaitForSlotEvent"));

    struct interface all[3], *one;
    ck count = 0;
    CHECK(GetInterfaceList(NULL, NULL), ARGUMENTS_BAD);
    CHECK(GetInterfaceList(NULL, &count), OK);
    CHECK(count, 3);
    count = 2;
    CHECK(GetInterfaceList(all, &count), TOO_SMALL);
    CHECK(count, 3);
    CHECK(GetInterfaceList(all, &count), OK);
    byte versions[3][2] = { { 3, 2 }, { 3, 0 }, { 2, 40 } };
    for (int i = 0; i < 3; i++) {
        list = all[i].list;
        CHECK(strcmp(all[i].name, "PKCS 11"), 0);
        CHECK(all[i].flags, 1);
        CHECK(list->major, versions[i][0]);
        CHECK(list->minor, versions[i][1]);
        CHECK(GetInterface("PKCS 11", versions[i], &one, 1), OK);
        CHECK(one->list, all[i].list);
    }
    list = all[0].list;
    CHECK(list->functions[103], symbol("C_UnwrapKeyAuthenticated"));
    list = all[1].list;
    CHECK(list->functions[91], symbol("C_MessageVerifyFinal"));

    CHECK(GetInterface(NULL, NULL, &one, 0), OK);
    CHECK(one->list, all[0].list);
    CHECK(GetInterface("PKCS 11", NULL, &one, 0), OK);
    CHECK(one->list, all[0].list);
    CHECK(GetInterface("PKCS 12", NULL, &one, 0), ARGUMENTS_BAD);
    CHECK(GetInterface("", NULL, &one, 0), ARGUMENTS_BAD);
    byte unknown[2] = { 3, 9 };
    CHECK(GetInterface("PKCS 11", unknown, &one, 0), ARGUMENTS_BAD);
    CHECK(GetInterface("PKCS 11", NULL, &one, 2), ARGUMENTS_BAD);
    CHECK(GetInterface("PKCS 11", NULL, NULL, 0), ARGUMENTS_BAD);
}

/* The host has a function of the same name: the lists still lead to the module's own. */
ck C_GetInfo(void *info) { return 0xBAD; }

static void names_of_the_host(void)
{
    struct list *list;
    module = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    load();
    ck (*GetFunctionList)(struct list **) = symbol("C_GetFunctionList");
    CHECK(GetFunctionList(&list), OK);
    CHECK(list->functions[2](NULL), NOT_INITIALIZED);
    CHECK(C_GetInfo(NULL), 0xBAD);
}

/* Arguments that no function may follow. */
static void hostile_arguments(void)
{
    load();
    ck (*CreateObject)(ck, void *, ck, ck *) = symbol("C_CreateObject");
    ck (*FindObjectsInit)(ck, void *, ck) = symbol("C_FindObjectsInit");
    ck (*GetAttributeValue)(ck, ck, void *, ck) = symbol("C_GetAttributeValue");
    ck (*DigestInit)(ck, void *) = symbol("C_DigestInit");
    ck (*Digest)(ck, void *, ck, void *, ck *) = symbol("C_Digest");
    ck (*GenerateRandom)(ck, void *, ck) = symbol("C_GenerateRandom");
    ck (*GetFunctionStatus)(ck) = symbol("C_GetFunctionStatus");
    ck (*CancelFunction)(ck) = symbol("C_CancelFunction");
    ck (*LoginUser)() = symbol("C_LoginUser");
    ck (*AsyncComplete)() = symbol("C_AsyncComplete");
    ck (*WaitForSlotEvent)(ck, ck *, void *) = symbol("C_WaitForSlotEvent");

    CHECK(LoginUser(0, 0, 0, 0, 0, 0), NOT_INITIALIZED);
    CHECK(Initialize(NULL), OK);
    CHECK(LoginUser(0, 0, 0, 0, 0, 0), NO_SESSION);
    CHECK(AsyncComplete(0, 0, 0), NOT_SUPPORTED);
    CHECK(GetFunctionStatus(0), NOT_PARALLEL);
    CHECK(CancelFunction(0), NOT_PARALLEL);

    ck list[64], count = 64, handle, len = 0;
    CHECK(GetSlotList(0, list, NULL), ARGUMENTS_BAD);
    CHECK(GetSlotList(0, list, &count), OK);
    CHECK(OpenSession(list[0], 2, NULL, NULL, &handle), PARALLEL);
    CHECK(OpenSession(list[0], 6, NULL, NULL, NULL), ARGUMENTS_BAD);
    CHECK(WaitForSlotEvent(1, &handle, (void *)1), ARGUMENTS_BAD);

    struct attribute one = { 0, NULL, 0 };
    for (int i = 0; i < 2; i++) {
        ck huge = i ? (ck)-1 : (ck)1 << 32;
        CHECK(CreateObject(99, &one, huge, &handle), NO_SESSION);
        CHECK(FindObjectsInit(99, &one, huge), NO_SESSION);
        CHECK(GetAttributeValue(99, 1, &one, huge), NO_SESSION);
    }
    CHECK(Digest(99, NULL, 5, NULL, &len), NO_SESSION);

    ck (*InitToken)(ck, const char *, ck, const char *) = symbol("C_InitToken");
    CHECK(InitToken(list[0], NULL, 4, "0123456789abcdef0123456789abcdef"), ARGUMENTS_BAD);
    CHECK(InitToken(list[0], "1234", 4, NULL), ARGUMENTS_BAD);
    CHECK(InitToken(list[0], "1234", 4, "0123456789abcdef0123456789abcdef"), OK);
    {
        CHECK(OpenSession(list[0], 6, NULL, NULL, &handle), OK);
        for (int i = 0; i < 2; i++) {
            ck huge = i ? (ck)-1 : (ck)1 << 32, made;
            CHECK(CreateObject(handle, &one, huge, &made), ARGUMENTS_BAD);
            CHECK(FindObjectsInit(handle, &one, huge), ARGUMENTS_BAD);
            CHECK(GetAttributeValue(handle, 1, &one, huge), ARGUMENTS_BAD);
        }
        CHECK(CreateObject(handle, NULL, 1, &len), ARGUMENTS_BAD);
        CHECK(CreateObject(handle, NULL, 0, NULL), ARGUMENTS_BAD);
        CHECK(GenerateRandom(handle, NULL, 1), ARGUMENTS_BAD);
        CHECK(GenerateRandom(handle, NULL, 0), OK);

        byte random[100001] = { 0 };
        CHECK(GenerateRandom(handle, random, 100000), OK);
        CHECK(random[100000], 0);

        /* A fault in the arguments ends the operation; a query and too little room do not. */
        ck sha1[3] = { 0x220, 0, 0 };
        byte digest[20];
        CHECK(DigestInit(handle, sha1), OK);
        CHECK(Digest(handle, "abc", 3, NULL, &len), OK);
        CHECK(len, 20);
        len = 19;
        CHECK(Digest(handle, "abc", 3, digest, &len), TOO_SMALL);
        CHECK(len, 20);
        CHECK(Digest(handle, "abc", 3, digest, &len), OK);
        CHECK(DigestInit(handle, sha1), OK);
        CHECK(Digest(handle, "abc", 3, digest, NULL), ARGUMENTS_BAD);
        CHECK(DigestInit(handle, sha1), OK);
        CHECK(DigestInit(handle, NULL), OK);
        CHECK(DigestInit(handle, sha1), OK);
        CHECK(CloseSession(handle), OK);
    }
    CHECK(Finalize(NULL), OK);
}

static const struct { const char *name; void (*run)(void); } cases[] = {
#define CASE(name) { #name, name }
    CASE(exit_handler_before), CASE(exit_handler_after), CASE(exit_of_a_thread), CASE(thread_ends),
    CASE(exit_of_a_thread_that_never_called), CASE(exit_after_unloading), CASE(exit_after_finalizing), CASE(exit_during_calls),
    CASE(main_thread_leaves), CASE(forks), CASE(forks_during_calls), CASE(forks_during_starts),
    CASE(forks_during_failing_starts), CASE(threads_start_it_once), CASE(ends_during_calls), CASE(initialize_arguments),
    CASE(interfaces), CASE(names_of_the_host), CASE(hostile_arguments),
    CASE(start_fails), CASE(starts_twice),
};

int main(int argc, char **argv)
{
    alarm(120);
    path = argv[1];
    for (unsigned i = 0; argc == 3 && i < sizeof cases / sizeof *cases; i++)
        if (!strcmp(cases[i].name, argv[2])) {
            cases[i].run();
            return 0;
        }
    fputs("usage: process MODULE CASE\n", stderr);
    return 2;
}
