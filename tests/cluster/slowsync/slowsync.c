/* A disk whose sync takes a millisecond longer: for LD_PRELOAD under a server whose
   disk is faster than those that it runs on.

   cc -shared -fPIC -O2 -o slowsync.so slowsync.c */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

static int slowed(const char *name, int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
	int result = real(fd);
	struct timespec millisecond = {0, 1000000};
	nanosleep(&millisecond, 0);
	return result;
}

int fsync(int fd) { return slowed("fsync", fd); }
int fdatasync(int fd) { return slowed("fdatasync", fd); }
