# Run by CPack on the staged files of the package, before it packs them: what Debian has
# compressed, at another place, or not at all.

set(root ${CPACK_TEMPORARY_DIRECTORY}/ALL_COMPONENTS_IN_ONE)
set(share ${root}/usr/share)

file(GLOB compressed ${share}/man/*/* ${share}/doc/psgate/changelog.Debian)
foreach(file IN LISTS compressed)
    # -n: neither name nor time, so that the same build gives the same bytes.
    execute_process(COMMAND gzip -9n ${file} COMMAND_ERROR_IS_FATAL ANY)
endforeach()

file(RENAME ${share}/zsh/site-functions ${share}/zsh/vendor-completions)

# The unit's user is only there while it runs, as the sample says.
file(READ ${root}/etc/logrotate.d/psgate text)
string(REPLACE "    su psgate psgate" "    su root root" text "${text}")
file(WRITE ${root}/etc/logrotate.d/psgate "${text}")
