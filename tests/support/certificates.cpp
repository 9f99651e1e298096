#include "certificates.h"
