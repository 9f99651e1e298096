# The warnings our own code is compiled with; GCC 12 and Clang 16 are silent on all of it.

add_compile_options(-Wall -Wextra -Wpedantic -Wconversion -Wshadow)
if(WEIR_WERROR)
  add_compile_options(-Werror)
endif()

# GCC 12 sees an overlapping copy in its own std::string operator+ once it optimises (PR 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  add_compile_options(-Wno-restrict)
  # And with the thread sanitizer members of an empty std::optional that nobody reads (PR 105562).
  if(CMAKE_CXX_FLAGS MATCHES "-fsanitize=thread")
    add_compile_options(-Wno-maybe-uninitialized)
  endif()
endif()
