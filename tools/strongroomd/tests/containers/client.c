/* What a program does with the keys of a daemon outside, in a container that has nothing but a C library
 * and a module:
 *
 *   client MODULE MESSAGE ENCRYPTED SEARCHED OUT
 *
 * It signs MESSAGE and decrypts ENCRYPTED with the key "rsa" of the token "box", leaves what comes of it in the
 * directory OUT, and goes on signing until there is a file SEARCHED.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pkcs11.h"

static const char PIN[] = "1234567";
static CK_FUNCTION_LIST *module;

static void
must (int done, const char *what)
{
	if (!done) {
		fprintf (stderr, "%s\n", what);
		exit (1);
	}
}

#define CALL(function, ...) \
	must (module->function (__VA_ARGS__) == CKR_OK, #function)

static size_t
read_file (const char *path, unsigned char *place, size_t most)
{
	FILE *file = fopen (path, "rb");
	must (file != NULL, path);
	size_t len = fread (place, 1, most, file);
	fclose (file);
	return len;
}

static void
write_file (const char *folder, const char *name, const unsigned char *bytes, size_t len)
{
	char path[256];
	snprintf (path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen (path, "wb");
	must (file != NULL && fwrite (bytes, 1, len, file) == len && fclose (file) == 0, path);
}

static CK_SLOT_ID
slot_of (const char *label)
{
	CK_SLOT_ID slots[16];
	CK_ULONG count = 16;
	CALL (C_GetSlotList, CK_TRUE, slots, &count);
	for (CK_ULONG at = 0; at < count; at++) {
		CK_TOKEN_INFO info;
		CALL (C_GetTokenInfo, slots[at], &info);
		if (strncmp ((const char *)info.label, label, strlen (label)) == 0)
			return slots[at];
	}
	must (0, "there is no such token");
	return 0;
}

int
main (int count, char **arguments)
{
	must (count == 6, "client MODULE MESSAGE ENCRYPTED SEARCHED OUT");
	void *library = dlopen (arguments[1], RTLD_NOW);
	must (library != NULL, "the module can not be loaded");
	CK_C_GetFunctionList list = (CK_C_GetFunctionList)dlsym (library, "C_GetFunctionList");
	must (list != NULL && list (&module) == CKR_OK, "C_GetFunctionList");
	CALL (C_Initialize, NULL);

	CK_SESSION_HANDLE session;
	CALL (C_OpenSession, slot_of ("box "), CKF_SERIAL_SESSION, NULL, NULL, &session);
	CALL (C_Login, session, CKU_USER, (CK_UTF8CHAR *)PIN, sizeof PIN - 1);
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE wanted[] = {
		{ CKA_CLASS, &class, sizeof class },
		{ CKA_LABEL, "rsa", 3 },
	};
	CK_OBJECT_HANDLE key = 0;
	CK_ULONG found = 0;
	CALL (C_FindObjectsInit, session, wanted, 2);
	CALL (C_FindObjects, session, &key, 1, &found);
	CALL (C_FindObjectsFinal, session);
	must (found == 1, "there is no such key");

	unsigned char data[4096], out[512];
	CK_MECHANISM decrypts = { CKM_RSA_PKCS, NULL, 0 };
	CK_ULONG len = sizeof out;
	size_t data_len = read_file (arguments[3], data, sizeof data);
	CALL (C_DecryptInit, session, &decrypts, key);
	CALL (C_Decrypt, session, data, data_len, out, &len);
	write_file (arguments[5], "plain", out, len);

	CK_MECHANISM signs = { CKM_SHA256_RSA_PKCS, NULL, 0 };
	unsigned long signatures = 0;
	time_t begun = time (NULL);
	data_len = read_file (arguments[2], data, sizeof data);
	do {
		len = sizeof out;
		CALL (C_SignInit, session, &signs, key);
		CALL (C_Sign, session, data, data_len, out, &len);
		signatures++;
		must (time (NULL) - begun < 600, "nobody searched this program");
	} while (access (arguments[4], F_OK) != 0);
	write_file (arguments[5], "signature", out, len);
	CALL (C_Finalize, NULL);
	printf ("a decryption and %lu signatures\n", signatures);
	return 0;
}
