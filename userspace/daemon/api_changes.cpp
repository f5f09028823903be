// SPDX-License-Identifier: Apache-2.0
// The endpoints that judge or change policy.
#include "userspace/daemon/api_answers.h"
#include "userspace/daemon/api_judge.h"
#include "userspace/daemon/api_router.h"

#include <boost/asio/detached.hpp>
#include <malloc.h>
#include <memory>
#include <utility>

namespace penstock::daemon {
namespace asio = boost::asio;
namespace {

constexpr std::size_t large_text = 64 * 1024;
constexpr auto trim_delay = std::chrono::milliseconds(100);
constexpr unsigned checks_kept_for_changers = 2; // so that readers cannot keep root from it

// The text in the body; none if its Content-Type is no policy format.
std::optional<policy::Source> source_of(const ApiRequest &request) {
    policy::Source source;
    const auto file = request.query.find("file");
    source.file = file == request.query.end() ? "-" : file->second;
    source.text = request.body;
    const auto type = request.content_type.substr(0, request.content_type.find(';'));
    if (type.empty() || type == "application/yaml" ||
        type == "application/x-www-form-urlencoded") // curl's default
        source.format = policy::Format::yaml;
    else if (type == "application/json")
        source.format = policy::Format::json;
    else if (type == "application/x-protobuf")
        source.format = policy::Format::protobuf;
    else
        return std::nullopt;
    return source;
}

// What judging took, many times the text, would stay with the allocator. After the request's own memory is given back.
asio::awaitable<void> trim_soon(asio::thread_pool &pool) {
    co_await sleep_for(trim_delay);
    co_await on_pool(pool, [] { return ::malloc_trim(0); });
}

} // namespace

asio::awaitable<ApiAnswer> ApiRouter::post(const ApiRequest &request) {
    if (request.path[1] == "quotas")
        co_return request.may_change ? change_quota(request)
                                     : error_answer(403, "only root may change quotas");
    const bool judges = request.path.size() == 3 && request.method == "POST"; // check, diff
    if (!judges && !request.may_change)
        co_return error_answer(403, "only root may change policies");
    if (request.path[1] == "reload") {
        if (!request.body.empty())
            co_return error_answer(400, "a reload takes no body");
        const auto outcome = co_await context_.control.reload();
        co_return change_answer(outcome, context_.enforcer.generation(), true);
    }
    if (request.method == "DELETE") {
        const auto outcome = co_await context_.control.remove(request.path[2]);
        co_return change_answer(outcome, context_.enforcer.generation(), false);
    }
    const auto source = source_of(request);
    if (!source)
        co_return error_answer(
            400, "Content-Type must be application/yaml, application/json or application/x-protobuf, not '" +
                     request.content_type + "'");
    if (!judges) {
        const auto outcome = co_await context_.control.apply(*source);
        co_return change_answer(outcome, context_.enforcer.generation(), false);
    }
    if (*checks_waiting_ >= most_checks + (request.may_change ? checks_kept_for_changers : 0))
        co_return error_answer(503, "too many policies wait to be checked");
    const CountedCheck counted(checks_waiting_);
    const auto turn = co_await check_turn_.take();
    co_return co_await judge(request, *source);
}

asio::awaitable<ApiAnswer> ApiRouter::judge(const ApiRequest &request, const policy::Source &source) {
    const bool diff = request.path[2] == "diff";
    std::shared_ptr<const Result<telemetry::Snapshot>> counted;
    if (diff)
        counted = co_await snapshot();
    auto now = diff ? in_force(context_.enforcer) : InForceNow();
    if (counted && *counted) // without counters the diff is still one
        now.counters = (*counted)->counters;
    auto work = [&] { return judge_text(source, diff ? &now : nullptr); };
    auto answer = co_await on_pool(context_.checks, work);
    if (source.text.size() > large_text)
        asio::co_spawn(co_await asio::this_coro::executor, trim_soon(context_.checks), asio::detached);
    co_return answer;
}

} // namespace penstock::daemon
