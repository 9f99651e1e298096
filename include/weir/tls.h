#pragma once

#include <weir/tls_context.h>
#include <weir/tls_info.h>
