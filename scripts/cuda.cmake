# The CUDA language, and where CUDA's other libraries have their headers. The toolkit is that of CUDA_HOME, that which
# scripts/setup.sh --with-cuda has put into .cuda, the one on PATH, or that of /usr/local/cuda, in this order.
#
# A program built with CUDA starts where there is no driver: the runtime (cudart) is linked statically and then reports that
# there is no device, and cuBLASLt and NCCL are opened by name (dlopen) when something of them is first called. Nothing of
# them is linked; of each only headers are needed here.
find_program(LONGSIGHT_NVCC nvcc PATHS "$ENV{CUDA_HOME}/bin" ${CMAKE_SOURCE_DIR}/.cuda/bin NO_DEFAULT_PATH)
find_program(LONGSIGHT_NVCC nvcc PATHS /usr/local/cuda/bin)
if(NOT LONGSIGHT_NVCC)
  message(FATAL_ERROR "LONGSIGHT_CUDA is on, and there is no nvcc: set CUDA_HOME to a toolkit, or run scripts/setup.sh --with-cuda")
endif()
set(CMAKE_CUDA_COMPILER ${LONGSIGHT_NVCC})
set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})
# Code for A100, H100 and H200, B100 and B200; and PTX, from which a driver makes code for what comes after them.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90-real 100)
endif()
enable_language(CUDA)
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 13)
  message(FATAL_ERROR "CUDA ${CMAKE_CUDA_COMPILER_VERSION} of ${LONGSIGHT_NVCC}: at least 13 is needed")
endif()
# CMake 3.25 does not know that nvcc has C++20.
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
if(CCACHE)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
endif()

# fmt checks texts while it compiles, for which it must be told that nvcc can. Constants of the host's headers (std::bit_cast, std::min) are used by kernels.
add_compile_options("$<$<COMPILE_LANGUAGE:CUDA>:-DFMT_USE_CONSTEXPR=1;--expt-relaxed-constexpr;--Werror=all-warnings;-Xcompiler=-Wall,-Wextra,-Wshadow,-Werror>")

set(LONGSIGHT_CUDA_INCLUDE_DIRS ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
foreach(header IN ITEMS cublasLt.h nccl.h)
  string(MAKE_C_IDENTIFIER "LONGSIGHT_HAS_${header}" found)
  # HINTS come before what the system has, which may be another toolkit's.
  find_path(${found} ${header} HINTS ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES} ${CMAKE_SOURCE_DIR}/.cuda/include)
  if(NOT ${found})
    message(FATAL_ERROR "LONGSIGHT_CUDA is on, and there is no ${header} in ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES} or .cuda/include: "
                        "run scripts/setup.sh --with-cuda")
  endif()
  list(APPEND LONGSIGHT_CUDA_INCLUDE_DIRS ${${found}})
endforeach()
list(REMOVE_DUPLICATES LONGSIGHT_CUDA_INCLUDE_DIRS)
include_directories(SYSTEM ${LONGSIGHT_CUDA_INCLUDE_DIRS})
# Where the libraries are looked for that are opened by name, beside the places that the system knows.
get_filename_component(cuda_root ${LONGSIGHT_NVCC} DIRECTORY)
list(APPEND CMAKE_BUILD_RPATH ${cuda_root}/../lib64 ${CMAKE_SOURCE_DIR}/.cuda/lib)

# What no other preset compiles, for one kind of GPU and without linking: what CI can pay. Of kernels the code for the GPU alone,
# as the host's part of them is in cuda_emulated_test. One that keeps in memory what should be in registers (spills) is an error:
# give it fewer values at a time, or more registers (least_blocks of runtime/device/lanes/launch.h).
file(GLOB_RECURSE cuda_only RELATIVE ${CMAKE_SOURCE_DIR} CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/runtime/*.cu
     ${CMAKE_SOURCE_DIR}/runtime/*.cpp ${CMAKE_SOURCE_DIR}/parallel/*.cpp)
list(FILTER cuda_only INCLUDE REGEX "/cuda/")
add_library(cuda_only OBJECT EXCLUDE_FROM_ALL ${cuda_only})
target_include_directories(cuda_only PRIVATE ${CMAKE_SOURCE_DIR})
target_compile_options(cuda_only PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:--cubin>
                       $<$<COMPILE_LANGUAGE:CUDA>:-Xptxas=--warn-on-spills> $<$<COMPILE_LANGUAGE:CXX>:-O0>)
set_target_properties(cuda_only PROPERTIES CUDA_ARCHITECTURES 90-real)
