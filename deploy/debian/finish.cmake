# Run by CPack on the staged files of the package, before it packs them: what Debian has
# compressed, at another place, or not at all.

set(share ${CPACK_TEMPORARY_DIRECTORY}/ALL_COMPONENTS_IN_ONE/usr/share)

file(GLOB compressed ${share}/man/*/* ${share}/doc/psgate/changelog.Debian)
foreach(file IN LISTS compressed)
    # -n: neither name nor time, so that the same build gives the same bytes.
    execute_process(COMMAND gzip -9n ${file} COMMAND_ERROR_IS_FATAL ANY)
endforeach()

if(EXISTS ${share}/zsh/site-functions/_psgate)
    file(RENAME ${share}/zsh/site-functions ${share}/zsh/vendor-completions)
endif()

execute_process(COMMAND find ${share}/.. -type d -empty -delete COMMAND_ERROR_IS_FATAL ANY)
