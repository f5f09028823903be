// SPDX-License-Identifier: Apache-2.0
// See policy_file.h.
#include "userspace/cli/policy_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>

namespace penstock::cli {
namespace {

constexpr std::size_t longest_text = std::size_t{64} << 20;

Error fault(const std::string &path, int number) {
    return Error{"cannot read " + path + ": " + std::strerror(number), number};
}

Result<std::string> read_all(std::FILE *file, const std::string &path) {
    std::string text;
    std::array<char, 65536> piece{};
    for (std::size_t size; (size = std::fread(piece.data(), 1, piece.size(), file)) > 0;) {
        text.append(piece.data(), size);
        if (text.size() > longest_text)
            return Error{path + ": longer than 64 MiB", EFBIG};
    }
    if (std::ferror(file) != 0)
        return fault(path, errno);
    return text;
}

} // namespace

Result<policy::Source> read_policy_file(const std::string &path) {
    if (path == "-") {
        Result<std::string> text = read_all(stdin, "standard input");
        if (!text)
            return text.error();
        return policy::Source{"-", std::move(*text), policy::Format::yaml};
    }
    const std::unique_ptr<std::FILE, int (*)(std::FILE *)> file(std::fopen(path.c_str(), "rbe"),
                                                                &std::fclose);
    if (!file)
        return fault(path, errno);
    Result<std::string> text = read_all(file.get(), path);
    if (!text)
        return text.error();
    return policy::Source{path, std::move(*text), policy::format_of(path)};
}

Result<std::vector<std::string>> policy_files(const std::string &path) {
    namespace fs = std::filesystem;
    std::error_code error;
    if (path == "-" || !fs::is_directory(path, error))
        return std::vector{path};
    constexpr std::array<std::string_view, 4> extensions{".yaml", ".yml", ".json", ".pb"};
    std::vector<std::string> files;
    for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
        const std::string name = entry->path().filename().string(),
                          extension = entry->path().extension().string();
        if (name.front() != '.' &&
            std::find(extensions.begin(), extensions.end(), extension) != extensions.end())
            files.push_back(entry->path().string());
    }
    if (error)
        return fault(path, error.value());
    if (files.empty())
        return Error{path + ": no policy files (.yaml .yml .json .pb) in this directory", ENOENT};
    std::sort(files.begin(), files.end());
    return files;
}

std::string content_type(policy::Format format) {
    return format == policy::Format::json       ? "application/json"
           : format == policy::Format::protobuf ? "application/x-protobuf"
                                                : "application/yaml";
}

} // namespace penstock::cli
