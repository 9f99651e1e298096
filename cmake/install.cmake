# What `cmake --install` writes. Two components, `library` and `tool`; both by default. Nothing in
# it names the place where it was built, and the whole tree may be moved.

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/weir)

install(DIRECTORY include/weir DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        COMPONENT library FILES_MATCHING PATTERN "*.h")

install(TARGETS weir EXPORT weirTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library
                NAMELINK_COMPONENT library
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

# A shared libweir.so finds OpenSSL and liburing itself; whoever links the static one must link them too.
set(weir_find_openssl)
set(weir_pc_requires)
if(WEIR_TLS AND NOT BUILD_SHARED_LIBS)
  set(weir_find_openssl "find_dependency(OpenSSL 3.0)")
  list(APPEND weir_pc_requires " openssl >= 3.0")
endif()
if(WEIR_URING AND NOT BUILD_SHARED_LIBS)
  list(APPEND weir_pc_requires " liburing >= 2.3")
endif()
list(JOIN weir_pc_requires "," weir_pc_requires)

# find_package(weir)
install(EXPORT weirTargets NAMESPACE weir:: DESTINATION ${package_dir} COMPONENT library)
configure_package_config_file(cmake/weirConfig.cmake.in weirConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may break its users.
write_basic_package_version_file(weirConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/weirConfig.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/weirConfigVersion.cmake
        DESTINATION ${package_dir} COMPONENT library)

# pkg-config: the prefix is found from where weir.pc lies, so `cmake --install --prefix` works.
set(pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pc_to_prefix ${CMAKE_INSTALL_PREFIX}/${pc_dir} ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" pc_to_prefix "${pc_to_prefix}")
configure_file(cmake/weir.pc.in weir.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/weir.pc DESTINATION ${pc_dir} COMPONENT library)

if(TARGET weir_tool)
  install(TARGETS weir_tool RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT tool)
endif()
