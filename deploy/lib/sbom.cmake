# Says what a program is made of, as CycloneDX 1.4 JSON: every library that it loads and what
# is compiled into it, by Debian package, version and licence, with the SHA-256 of each file.
#
#   cmake -DBINARY=FILE -DVERSION=V -DEMBEDDED=FILE;... -DOPENED=FILE;... -DOUTPUT=FILE -P sbom.cmake
#
# OPENED are the libraries that the program loads by itself while it runs.
# It has neither a time nor a serial number: the same build gives the same bytes. Where dpkg
# does not know a file, it is named without a package.
cmake_minimum_required(VERSION 3.24)

# set_json(OUT TEXT): TEXT as a JSON string.
function(set_json out text)
    string(REPLACE "\\" "\\\\" text "${text}")
    string(REPLACE "\"" "\\\"" text "${text}")
    set(${out} "\"${text}\"" PARENT_SCOPE)
endfunction()

# set_needed(OUT FILE): the names of the libraries that FILE itself asks for.
function(set_needed out file)
    execute_process(COMMAND readelf -dW ${file} OUTPUT_VARIABLE said COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX MATCHALL "Shared library: \\[[^]]+\\]" names "${said}")
    list(TRANSFORM names REPLACE "Shared library: \\[(.*)\\]" "\\1")
    set(${out} ${names} PARENT_SCOPE)
endfunction()

# set_loaded(OUT FILE): the paths of all that the dynamic linker loads for FILE.
function(set_loaded out file)
    execute_process(COMMAND ldd ${file} OUTPUT_VARIABLE said COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX MATCHALL "/[^ \n\t]+ \\(0x" paths "${said}")
    list(TRANSFORM paths REPLACE " .*" "")
    set(${out} ${paths} PARENT_SCOPE)
endfunction()

# ask_dpkg(FILE...): package_of_FILE for each that came with a package. Paths of before /usr was
# merged are known by their old names.
function(ask_dpkg)
    set(asked "")
    foreach(file IN LISTS ARGN)
        get_filename_component(real_of_${file} ${file} REALPATH)
        string(REGEX REPLACE "^/usr/lib" "/lib" old ${real_of_${file}})
        list(APPEND asked ${real_of_${file}} ${old})
    endforeach()
    execute_process(COMMAND dpkg-query -S ${asked} OUTPUT_VARIABLE said ERROR_QUIET RESULT_VARIABLE _)
    string(REPLACE "\n" ";" said "${said}")
    foreach(file IN LISTS ARGN)
        string(REGEX REPLACE "^/usr/lib" "/lib" old ${real_of_${file}})
        foreach(line IN LISTS said)
            string(REGEX REPLACE "^[^/]*: " "" path "${line}")
            string(REGEX REPLACE "[ ,].*|: /.*" "" package "${line}")
            if(path STREQUAL real_of_${file} OR path STREQUAL old)
                set(package_of_${file} ${package} PARENT_SCOPE)
            endif()
        endforeach()
    endforeach()
endfunction()

# set_licences(OUT PACKAGE): a JSON list, from the package's copyright file.
function(set_licences out package)
    string(REGEX REPLACE ":.*" "" name ${package})
    set(path /usr/share/doc/${name}/copyright)
    set(names "")
    if(EXISTS ${path})
        file(STRINGS ${path} names REGEX "^License: *[^ ]")
        list(TRANSFORM names REPLACE "^License: *(.*[^ ]) *$" "\\1")
        list(REMOVE_DUPLICATES names)
        list(SORT names)
    endif()
    if(NOT names)
        set(names "as ${path} says")
    endif()
    set(entries "")
    foreach(licence IN LISTS names)
        set_json(text "${licence}")
        list(APPEND entries "{ \"license\": { \"name\": ${text} } }")
    endforeach()
    list(JOIN entries ", " entries)
    set(${out} "[${entries}]" PARENT_SCOPE)
endfunction()

# set_file(OUT FILE): the component of a file.
function(set_file out file)
    get_filename_component(name ${file} NAME)
    file(SHA256 ${file} digest)
    set_json(path ${file})
    set(${out} "{ \"type\": \"file\", \"bom-ref\": ${path}, \"name\": \"${name}\",\
 \"hashes\": [{ \"alg\": \"SHA-256\", \"content\": \"${digest}\" }] }" PARENT_SCOPE)
endfunction()

# set_component(OUT PACKAGE FILE...): the component of a package, with the files used of it.
function(set_component out package)
    set(files "")
    foreach(path IN LISTS ARGN)
        set_file(file ${path})
        list(APPEND files "        ${file}")
    endforeach()
    list(JOIN files ",\n" files)
    execute_process(COMMAND dpkg-query -W -f "\${binary:Package} \${Version} \${Architecture}" ${package}
        OUTPUT_VARIABLE said COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX MATCH "^([^ :]+)[^ ]* ([^ ]+) ([^ ]+)" _ "${said}")
    set(name ${CMAKE_MATCH_1})
    set(version ${CMAKE_MATCH_2})
    set(architecture ${CMAKE_MATCH_3})
    string(REPLACE "+" "%2B" purl_name ${name})
    string(REPLACE "+" "%2B" purl_version ${version})
    string(REPLACE ":" "%3A" purl_version ${purl_version})
    set(purl "pkg:deb/debian/${purl_name}@${purl_version}?arch=${architecture}")
    set_licences(licences ${package})
    set(${out} "    {
      \"type\": \"library\", \"bom-ref\": \"${purl}\", \"name\": \"${name}\", \"version\": \"${version}\",
      \"purl\": \"${purl}\",
      \"licenses\": ${licences},
      \"components\": [
${files}
      ]
    }" PARENT_SCOPE)
endfunction()

# add_dependencies_of(REF FILE LOADED...): what REF asks the dynamic linker for.
function(add_dependencies_of ref file)
    set_needed(needed ${file})
    set(refs "")
    foreach(path IN LISTS ARGN)
        get_filename_component(name ${path} NAME)
        if(name IN_LIST needed)
            list(APPEND refs "\"${path}\"")
        endif()
    endforeach()
    if(ref STREQUAL psgate)
        foreach(path IN LISTS OPENED EMBEDDED)
            list(APPEND refs "\"${path}\"")
        endforeach()
    endif()
    list(JOIN refs ", " refs)
    set(dependencies ${dependencies} "    { \"ref\": \"${ref}\", \"dependsOn\": [${refs}] }" PARENT_SCOPE)
endfunction()

set_loaded(loaded ${BINARY})
foreach(library IN LISTS OPENED)
    set_loaded(more ${library})
    list(APPEND loaded ${library} ${more})
endforeach()
list(REMOVE_DUPLICATES loaded)
list(SORT loaded)
set(packages "")
set(components "")
set(dependencies "")
ask_dpkg(${loaded} ${EMBEDDED})
foreach(path IN LISTS loaded EMBEDDED)
    set(package ${package_of_${path}})
    if(package)
        list(APPEND packages ${package})
        list(APPEND files_of_${package} ${path})
    else()
        set_file(file ${path})
        list(APPEND components "    ${file}")
    endif()
endforeach()
list(REMOVE_DUPLICATES packages)
list(SORT packages)
foreach(package IN LISTS packages)
    set_component(component ${package} ${files_of_${package}})
    list(APPEND components "${component}")
endforeach()
add_dependencies_of(psgate ${BINARY} ${loaded})
foreach(path IN LISTS loaded)
    add_dependencies_of(${path} ${path} ${loaded})
endforeach()
list(JOIN components ",\n" components)
list(JOIN dependencies ",\n" dependencies)
file(WRITE ${OUTPUT} "{
  \"bomFormat\": \"CycloneDX\",
  \"specVersion\": \"1.4\",
  \"version\": 1,
  \"metadata\": {
    \"component\": {
      \"type\": \"application\", \"bom-ref\": \"psgate\", \"name\": \"psgate\", \"version\": \"${VERSION}\",
      \"licenses\": [{ \"license\": { \"id\": \"MIT\" } }]
    }
  },
  \"components\": [
${components}
  ],
  \"dependencies\": [
${dependencies}
  ]
}
")
