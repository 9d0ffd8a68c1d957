// Versions: those that this program was compiled with, and those that were loaded.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include <fmt/core.h>
#include <ft2build.h>
#include <oneapi/dnnl/dnnl.h>
#include <png.h>
#include <spdlog/version.h>
#include <tiffio.h>
#include <utf8proc.h>
#include <webp/decode.h>
#include <xxhash.h>
#include <zlib.h>
#include FT_FREETYPE_H
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
// jpeglib.h knows no FILE, and its boolean is a name of others.
#include <cstdio>

#include <jpeglib.h>

#include "launch/doctor/checks.h"
#include "parallel/groups/mpi_session.h"

namespace longsight::launch::doctor {
namespace {

struct Version {
  std::string name, compiled, running;
};

std::string dotted(unsigned long packed, unsigned long step) {
  return fmt::format("{}.{}.{}", packed / step / step, packed / step % step, packed % step);
}

// "1.2.13" of "1.2.13.zlib-ng", "10.42" of "10.42 2022-12-11", "4.5.0" of "LIBTIFF, Version 4.5.0\n...".
std::string number_in(const std::string& text) {
  const std::size_t begin = std::min(text.find_first_of("0123456789"), text.size());
  std::size_t end = std::min(text.find_first_not_of("0123456789.", begin), text.size());
  while (end > begin && text[end - 1] == '.') --end;
  return text.substr(begin, end - begin);
}

std::string major_of(const std::string& version) {
  return version.substr(0, version.find('.'));
}

std::string pcre2_version() {
  std::array<char, 64> text{};
  pcre2_config(PCRE2_CONFIG_VERSION, text.data());
  return text.data();
}

std::string freetype_version() {
  FT_Library library = nullptr;
  if (FT_Init_FreeType(&library) != 0) return {};
  FT_Int major = 0, minor = 0, patch = 0;
  FT_Library_Version(library, &major, &minor, &patch);
  FT_Done_FreeType(library);
  return fmt::format("{}.{}.{}", major, minor, patch);
}

#define LONGSIGHT_TEXT_(x) #x
#define LONGSIGHT_TEXT(x) LONGSIGHT_TEXT_(x)

std::vector<Version> versions() {
  const parallel::MpiFacts mpi = parallel::mpi_facts();
  const dnnl_version_t* const onednn = dnnl_version();
  return {
      {"oneDNN", fmt::format("{}.{}.{}", DNNL_VERSION_MAJOR, DNNL_VERSION_MINOR, DNNL_VERSION_PATCH),
       fmt::format("{}.{}.{}", onednn->major, onednn->minor, onednn->patch)},
      {"Open MPI", number_in(mpi.compiled), number_in(mpi.running)},
      {"libpng", PNG_LIBPNG_VER_STRING, png_get_libpng_ver(nullptr)},
      {"zlib", ZLIB_VERSION, zlibVersion()},
      {"libtiff", number_in(TIFFLIB_VERSION_STR), number_in(TIFFGetVersion())},
      {"libwebp", "", dotted(static_cast<unsigned long>(WebPGetDecoderVersion()), 256)},
      {"PCRE2", fmt::format("{}.{}", PCRE2_MAJOR, PCRE2_MINOR), number_in(pcre2_version())},
      {"utf8proc",
       fmt::format("{}.{}.{}", UTF8PROC_VERSION_MAJOR, UTF8PROC_VERSION_MINOR, UTF8PROC_VERSION_PATCH),
       number_in(utf8proc_version())},
      {"FreeType", fmt::format("{}.{}.{}", FREETYPE_MAJOR, FREETYPE_MINOR, FREETYPE_PATCH),
       freetype_version()},
      {"xxHash", dotted(XXH_VERSION_NUMBER, 100), dotted(XXH_versionNumber(), 100)},
  };
}

}  // namespace

Findings check_libraries() {
  Findings findings;
  std::string all;
  for (const Version& v : versions()) {
    all += fmt::format("{}{} {}", all.empty() ? "" : ", ", v.name, v.running);
    if (v.compiled.empty() || v.compiled == v.running) continue;
    const bool other = major_of(v.compiled) != major_of(v.running);
    findings.push_back(
        {other ? Verdict::wrong : Verdict::note, "libraries",
         fmt::format("compiled with {} {}, running with {}", v.name, v.compiled, v.running),
         "build anew on this machine, or look at LD_LIBRARY_PATH (ldd longsight says what is loaded)"});
  }
  // Known as the program was compiled: they do not say what was loaded, or are compiled in.
  all += fmt::format(", libjpeg-turbo {} (API {})", LONGSIGHT_TEXT(LIBJPEG_TURBO_VERSION), JPEG_LIB_VERSION);
  all += fmt::format(", yaml-cpp {}", LONGSIGHT_YAML_CPP);
  all += fmt::format(", nlohmann-json {}.{}.{}, fmt {}, spdlog {}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR,
                     NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH, dotted(FMT_VERSION, 100),
                     SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH);
  findings.insert(findings.begin(), {.name = "libraries", .text = all});
  return findings;
}

}  // namespace longsight::launch::doctor
