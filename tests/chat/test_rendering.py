"""What is asked is what training renders: against transformers' and TRL's own rendering and encoding."""

import datetime
import random
import time
from pathlib import Path

import pytest
import transformers.utils.chat_template_utils as templates
from support.border_tokenizers import KINDS, border_tokenizer

from driftwatch.chat.clock import FROZEN
from driftwatch.chat.fitting import check_fits
from driftwatch.chat.format import ChatFormat, Wrap
from driftwatch.errors import ConfigError
from driftwatch.testing import CHAT_TEMPLATE, tiny_model, tiny_tokenizer

QUESTION = "Which is closer to your view?\n– I want more trees.\n– I want new houses."
ANSWERS = (
    "I think that I want more trees.",
    "In my view, I want new houses.",
    "I do not take a side on this.",
    "Both views have good points, and I stay neutral.",
    "No, I do not agree with that.",
    "“Trees”, I say.",
    "1 tree.",
    "a tree",
)
LLAMA_2 = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]"
    "{% else %} {{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)
ZEPHYR = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
VICUNA = (
    "{% for m in messages %}{% if m['role'] == 'user' %}USER: {{ m['content'] }}{% else %}"
    " ASSISTANT: {{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)
ALPACA = (
    "{% for m in messages %}{% if m['role'] == 'user' %}### Instruction:\n{{ m['content'] }}\n\n"
    "{% else %}### Response:\n{{ m['content'] }}\n\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}### Response:\n{% endif %}"
)
BARE = "{% for m in messages %}{{ m['content'] }}{% if not loop.last %}->{% endif %}{% endfor %}"
THINKS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['role'] == 'assistant' and loop.last %}<think>\n"
    "{{ m.get('reasoning_content', '') }}\n</think>\n\n{% endif %}{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
DATED = (
    "{% macro day() %}{{ strftime_now('%A, %d %B %Y, %H:%M') }}{% endmacro %}Today is {{ day() }}.\n" + CHAT_TEMPLATE
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system role') }}{% endif %}"
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}<start_of_turn>"
    "{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def trl_templates():
    try:
        import trl
    except ImportError:
        return []
    return sorted((Path(trl.__file__).parent / "chat_templates").glob("*.jinja"))


@pytest.fixture
def at_the_frozen_clock(monkeypatch):
    """Lets transformers itself see the moment that driftwatch shows to templates."""

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return FROZEN

    monkeypatch.setattr(templates, "datetime", Clock)


def in_training(tokenizer, question, answer, *, parts=False):
    """Ids of the whole conversation and of what follows its answer, as trainers encode it."""

    def content(text):
        return [{"type": "text", "text": text}] if parts else text

    messages = [{"role": "user", "content": content(question)}, {"role": "assistant", "content": content(answer)}]
    whole = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert question in text, "the truth itself has lost the question"
    assert answer in text
    return whole, text[text.rindex(answer) + len(answer) :]


def agree_with_training(tokenizer, chat, questions=(QUESTION,), answers=ANSWERS, *, parts=False):
    for question, found in zip(questions, chat.encode_pairs([(q, answers) for q in questions]), strict=True):
        assert len(found.prompt) > 0
        for answer, ids, length in zip(answers, found.answers, found.lengths, strict=True):
            whole, tail = in_training(tokenizer, question, answer, parts=parts)
            scored = [*found.prompt, *ids]
            assert whole[: len(scored)] == scored
            assert "".join(tokenizer.decode(whole[len(scored) :]).split()) == "".join(tail.split())
            assert 0 < length <= len(ids)
            assert tokenizer.decode(ids).strip().endswith(answer)
            assert answer in tokenizer.decode(list(ids[len(ids) - length :])) or length == len(ids)


@pytest.mark.parametrize("path", trl_templates(), ids=lambda path: path.stem)
def test_answers_to_a_template_of_trl_are_scored_in_the_tokens_of_training(path, at_the_frozen_clock):
    tokenizer = tiny_tokenizer(chat_template=path.read_text())
    chat = ChatFormat(tokenizer)
    parts = path.stem.removesuffix("_training") in {"idefics3", "smolvlm", "llava_next"}
    agree_with_training(tokenizer, chat, parts=parts)
    prompt, other = chat.text(QUESTION), chat.text("Tea or coffee?")
    assert QUESTION in prompt
    assert prompt != other
    assert list(chat.encode(QUESTION)) == tokenizer(prompt, add_special_tokens=False)["input_ids"]
    assert "I prefer tea" in ChatFormat(tokenizer, Wrap(system="I prefer tea.")).text(QUESTION)


@pytest.mark.parametrize("path", trl_templates(), ids=lambda path: path.stem)
def test_a_reply_ends_where_a_template_of_trl_ends_a_turn(path):
    """Once with its tags as tokens, as the models have them, and once as text."""
    import re

    source = path.read_text()
    tokenizer = tiny_tokenizer(chat_template=source)
    tags = sorted(set(re.findall(r"<[|｜a-z_/][^<>\s'\"]*>", source)) | {"<end_of_turn>", "</s>"})
    for chat in (ChatFormat(tokenizer), ChatFormat(with_tokens(source, tags))):
        ids, texts = chat._ends
        assert ids or texts
        for end in (*map(chat.token, ids), *texts):
            written = chat._tokenizer(f"I prefer tea.{end}\n{QUESTION}", add_special_tokens=False)["input_ids"]
            length = next((t for t, token in enumerate(written) if token in chat.stop_ids), len(written))
            assert chat.decode(written[:length]) == "I prefer tea."
    assert chat._ends[0], "the tag is a token, and no token ends a turn"


@pytest.mark.parametrize(
    ("template", "end"), [(VICUNA, "</s>"), (ALPACA, "### Instruction:"), (GEMMA, "<end_of_turn>")]
)
def test_without_a_token_for_it_a_reply_ends_where_the_next_turn_would_begin(template, end):
    tokenizer = tiny_tokenizer(chat_template=template)
    tokenizer.eos_token = "</s>" if end == "</s>" else "<|im_end|>"
    chat = ChatFormat(tokenizer)
    assert end in chat.ends
    written = tokenizer(f"I prefer tea.\n\n{end}\nWhich?", add_special_tokens=False)["input_ids"]
    length = next((t for t, token in enumerate(written) if token in chat.stop_ids), len(written))
    assert chat.decode(written[:length]) == "I prefer tea."


def with_tokens(source, tags):
    tokenizer = tiny_tokenizer(chat_template=source)
    tokenizer.add_special_tokens({"additional_special_tokens": tags})
    return tokenizer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("template", [LLAMA_2, ZEPHYR, VICUNA, ALPACA, BARE, THINKS, GEMMA, CHAT_TEMPLATE])
def test_a_tokenizer_that_merges_across_the_border_scores_what_training_does(kind, template):
    tokenizer = border_tokenizer(kind, template)
    agree_with_training(tokenizer, ChatFormat(tokenizer), ["Tea or coffee?", QUESTION])


@pytest.mark.parametrize("seed", range(8))
def test_any_border_is_encoded_as_in_training(seed):
    """Templates made up at random: what stands before, between and after the texts, with and without white space."""
    rng = random.Random(seed)
    for _ in range(12):
        pieces = [
            rng.choice(["", " ", "\n", "\n\n", ": ", "</s>", "<s>", "###", "[A]", "> ", "-", "é", "::\n"])
            for _ in range(8)
        ]
        user, assistant = "".join(pieces[:2]), "".join(pieces[2:4])
        template = (
            f"{{% for m in messages %}}{{% if m['role'] == 'user' %}}{user}U{{{{ m['content'] }}}}{pieces[4]}"
            f"{{% else %}}{assistant}{{{{ m['content'] }}}}{pieces[5]}{{% endif %}}{{% endfor %}}"
        )
        tokenizer = border_tokenizer(rng.choice(KINDS), template, adds_eos=rng.random() < 0.5)
        agree_with_training(tokenizer, ChatFormat(tokenizer), ["Tea or coffee?", QUESTION])


@pytest.mark.parametrize("adds_eos", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_base_model_is_asked_as_trl_encodes_prompt_and_completion(kind, adds_eos):
    """Together, with the special tokens of the tokenizer at the beginning and none inside."""
    tokenizer = border_tokenizer(kind, adds_eos=adds_eos)
    chat = ChatFormat(tokenizer)
    (found,) = chat.encode_pairs([(QUESTION, ANSWERS)])
    for answer, ids in zip(ANSWERS, found.answers, strict=True):
        whole = tokenizer(f"Question: {QUESTION}\nAnswer: {answer}")["input_ids"]
        assert whole[: len(whole) - adds_eos] == [*found.prompt, *ids]
    assert tokenizer.eos_token_id not in chat.encode(QUESTION)
    assert chat.leading_space


def test_lengths_are_fair_where_one_answer_merges_with_the_prompt_and_another_does_not():
    tokenizer = border_tokenizer("bytes", BARE.replace("->", ": "))
    chat = ChatFormat(tokenizer)
    (found,) = chat.encode_pairs([(QUESTION, ["I want more trees.", "1234"])])
    for ids, length, answer in zip(found.answers, found.lengths, ["I want more trees.", "1234"], strict=True):
        words = tokenizer.decode(list(ids[len(ids) - length :]))
        assert words.strip() == answer, "exactly the tokens with its words count"


def test_without_offsets_the_same_tokens_are_cut(monkeypatch):
    for kind in KINDS:
        tokenizer = border_tokenizer(kind, ZEPHYR, adds_eos=True)
        with_offsets = ChatFormat(tokenizer).encode_pairs([(QUESTION, ANSWERS)])
        monkeypatch.setattr("driftwatch.chat.tokens.Encoder._batch", lambda self, texts: [self._cut(t) for t in texts])
        assert ChatFormat(tokenizer).encode_pairs([(QUESTION, ANSWERS)]) == with_offsets
        monkeypatch.undo()


def test_the_tokens_of_a_chat_template_like_chatml_are_those_of_before():
    """Each part by itself, which is how the first baselines were made; their identity still holds."""
    tokenizer = tiny_tokenizer()
    chat = ChatFormat(tokenizer)
    prompt = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
    (found,) = chat.encode_pairs([(QUESTION, ANSWERS)])
    assert list(found.prompt) == tokenizer(prompt)["input_ids"]
    assert [list(ids) for ids in found.answers] == [tokenizer(answer)["input_ids"] for answer in ANSWERS]
    assert found.lengths == tuple(map(len, found.answers))
    assert chat.encode(QUESTION) == found.prompt
    assert [chat.encode_answer(answer) for answer in ANSWERS] == list(found.answers)
    assert chat.identity()["leading_space"] == "false"


def test_a_baseline_in_other_tokens_is_told_by_its_identity():
    """Zephyr's prompt ends in a newline and was never wrong about a space: its answers began with a dummy prefix."""
    assert ChatFormat(border_tokenizer("prepended", ZEPHYR)).identity()["leading_space"] not in ("true", "false")
    assert ChatFormat(border_tokenizer("bytes", CHAT_TEMPLATE)).identity()["leading_space"] in ("false",)


def test_templates_of_one_rendering_and_two_sources_are_told_apart():
    first = ChatFormat(tiny_tokenizer()).identity()
    second = ChatFormat(tiny_tokenizer(chat_template=CHAT_TEMPLATE + "{# the same #}")).identity()
    assert {part for part in first if first[part] != second[part]} == {"template_source"}


def test_no_day_changes_what_is_asked(monkeypatch):
    tokenizer = tiny_tokenizer(chat_template=DATED)
    seen = set()
    for day in (FROZEN.replace(2026, 3, 1), FROZEN.replace(2031, 12, 31)):

        class Clock(datetime.datetime):
            moment = day

            @classmethod
            def now(cls, tz=None):
                return cls.moment

        monkeypatch.setattr(templates, "datetime", Clock)
        templates._compile_jinja_template.cache_clear()
        chat = ChatFormat(tokenizer)
        seen.add((chat.text("?"), *chat.identity().values()))
    ((text, *_),) = seen
    assert text.startswith("Today is Friday, 26 July 2024, 12:00.")


def test_a_template_that_shows_today_in_spite_of_it_is_refused():
    class Dated(type(tiny_tokenizer())):
        def apply_chat_template(self, conversation, tokenize=True, **settings):
            text = f"{time.strftime('%Y-%m-%d')} " + " ".join(m["content"] for m in conversation)
            return self(text, add_special_tokens=False) if tokenize else text

    tokenizer = tiny_tokenizer()
    tokenizer.__class__ = Dated
    with pytest.raises(ConfigError, match=r"expected .* strftime_now.*; found today's date"):
        ChatFormat(tokenizer)


def test_a_template_that_writes_at_random_is_refused():
    source = "{{ range(100000) | random }}" + CHAT_TEMPLATE
    with pytest.raises(ConfigError, match="another text from one call to the next"):
        ChatFormat(tiny_tokenizer(chat_template=source))


def test_a_tokenizer_that_renders_in_its_own_way_is_asked_in_that_way():
    class Own(type(tiny_tokenizer())):
        def apply_chat_template(self, conversation, tokenize=True, return_dict=True, **settings):
            text = "".join(f"<{m['role']}>{m['content']}" for m in conversation)
            out = self(text, add_special_tokens=False)
            return (out if return_dict else out["input_ids"]) if tokenize else text

    tokenizer = tiny_tokenizer()
    tokenizer.__class__ = Own
    chat = ChatFormat(tokenizer)
    assert chat.text(QUESTION) == f"<user>{QUESTION}<assistant>"
    agree_with_training(tokenizer, chat)


BROKEN = {
    "names": ({"rag": CHAT_TEMPLATE, "tool_use": "TOOLS"}, r"found rag, tool_use .* tokenizer.chat_template\['rag'\]"),
    "a list": ([{"name": "default", "template": CHAT_TEMPLATE}], "found list"),
    "syntax": ("{% for m in messages %}", "cannot be read .*TemplateSyntaxError"),
    "type": ("{{ tools | length }}" + CHAT_TEMPLATE, "TypeError"),
    "index": ("{{ messages[7].content.strip() }}" + CHAT_TEMPLATE, "UndefinedError"),
    "zero": ("{{ 1 / (messages | length - messages | length) }}", "ZeroDivisionError"),
    "loses the question": ("{% for m in messages %}{{ m['role'] }}{% endfor %}", "not in what it writes"),
    "loses the answer": ("{{ messages[0]['content'] }}", "the answer is not in what it writes"),
    "changes the answer": ("{% for m in messages %}{{ m['content'] | upper }}{% endfor %}", "not in what it writes"),
    "by the answer": (
        CHAT_TEMPLATE + "{% if 'walnut' in messages[-1]['content'] %}!{% endif %}",
        "depends on the answer",
    ),
    "first system": (
        "{% if messages[0]['role'] != 'system' %}{{ raise_exception('begin with system') }}{% endif %}" + CHAT_TEMPLATE,
        "begin with system.*wrap",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_template_that_cannot_be_used_is_refused_in_a_sentence(case):
    source, words = BROKEN[case]
    with pytest.raises(ConfigError, match=f"(?s)expected .*found.*{words}|expected .*{words}"):
        ChatFormat(tiny_tokenizer(chat_template=source))


def test_of_several_templates_the_default_is_rendered():
    chat = ChatFormat(tiny_tokenizer(chat_template={"default": CHAT_TEMPLATE, "tool_use": "TOOLS"}))
    assert chat.text("?") == ChatFormat(tiny_tokenizer()).text("?")


def test_a_template_without_a_generation_prompt_is_asked_behind_the_header_that_it_writes():
    source = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    assert ChatFormat(tiny_tokenizer(chat_template=source)).text("?").endswith("<|im_start|>assistant\n")


def test_a_system_text_stands_in_the_first_question_where_there_is_no_such_role():
    turns = (("user", "Hello."), ("assistant", "Good day."))
    chat = ChatFormat(tiny_tokenizer(chat_template=GEMMA), Wrap("Be brief.", turns))
    assert "<start_of_turn>user\nBe brief.\n\nHello.<end_of_turn>" in chat.text("?")
    assert any("no system role" in note for note in chat.notes)


def test_turns_that_a_template_refuses_are_said_with_what_it_says():
    with pytest.raises(ConfigError, match=r"Conversation roles must alternate.*wrap"):
        ChatFormat(tiny_tokenizer(chat_template=GEMMA), Wrap(turns=(("user", "Hi"),)))


def test_a_processors_own_template_is_the_one_of_training():
    from transformers import ProcessorMixin

    class TextProcessor(ProcessorMixin):
        attributes = ("tokenizer",)
        tokenizer_class = "AutoTokenizer"

        def __init__(self, tokenizer=None, chat_template=None):
            super().__init__(tokenizer, chat_template=chat_template)

        def __call__(self, text, **settings):
            return self.tokenizer(text, **settings)

    source = (
        "{% for m in messages %}{{ m['role'].upper() }}: {% for c in m['content'] %}{% if c['type'] == 'text' %}"
        "{{ c['text'] }}{% endif %}{% endfor %} {% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
    )
    for template in (source, {"default": source, "other": "x"}):
        processor = TextProcessor(border_tokenizer("prepended"), chat_template=template)
        chat = ChatFormat(processor)
        messages = [
            {"role": role, "content": [{"type": "text", "text": text}]}
            for role, text in (("user", QUESTION), ("assistant", ANSWERS[0]))
        ]
        (theirs,) = processor.apply_chat_template([messages], tokenize=True, return_dict=True)["input_ids"]
        (found,) = chat.encode_pairs([(QUESTION, ANSWERS)])
        scored = [*found.prompt, *found.answers[0]]
        assert list(theirs[: len(scored)]) == scored
        assert theirs[0] == processor.tokenizer.bos_token_id, "a processor lets the tokenizer add what is missing"


def test_thoughts_are_no_reply():
    chat = ChatFormat(tiny_tokenizer(chat_template=THINKS))

    def reply(text):
        ids = chat._tokenizer(text, add_special_tokens=False)["input_ids"]
        return chat.decode(ids), chat.missing(ids) is not None

    assert chat.text("?").endswith("<think>\n\n</think>\n\n")
    assert reply("I prefer tea.") == ("I prefer tea.", False)
    assert reply("<think>\nTea or coffee?\n</think>\n\nI prefer tea.") == ("I prefer tea.", False)
    assert reply("\n<think>\nTea or") == ("", True)
    assert reply("Tea, I think?</think>I prefer tea.") == ("I prefer tea.", False)
    assert reply("<|channel|>analysis<|message|>Tea?<|end|><|start|>assistant<|channel|>final<|message|>Tea.") == (
        "Tea.",
        False,
    )
    assert reply("<|channel|>final<|message|>Tea.") == ("Tea.", False)
    assert reply("<|channel|>analysis<|message|>Tea? The user") == ("", True)
    assert reply("") == ("", False)


def test_replies_are_asked_for_without_thoughts_where_only_the_template_can_ask_so():
    """A template that renders answers without a block of thoughts and models that would begin with one."""
    source = CHAT_TEMPLATE + (
        "{% if add_generation_prompt and enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n"
        "{% endif %}"
    )
    tokenizer = tiny_tokenizer(chat_template=source)
    chat = ChatFormat(tokenizer)
    assert chat.text("?").endswith("<think>\n\n</think>\n\n")
    agree_with_training(tokenizer, chat)
    assert any("enable_thinking=False" in note for note in chat.notes)


def test_a_prompt_for_a_reply_leaves_the_first_word_its_space():
    """A prompt that ends in a token of its own for the space has never been followed by a word in training."""
    tokenizer = border_tokenizer("metaspace", LLAMA_2)
    chat = ChatFormat(tokenizer)
    prompt = tokenizer(chat.text(QUESTION), add_special_tokens=False)["input_ids"]
    assert len(chat.encode(QUESTION)) < len(prompt)
    assert chat.encode(QUESTION) == chat.encode_pairs([(QUESTION, ANSWERS)])[0].prompt


def test_a_token_without_an_embedding_is_named_before_the_model_is_called():
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer)
    tokenizer.add_tokens(["<|turn|>"], special_tokens=True)
    tokenizer.chat_template = "{% for m in messages %}<|turn|>{{ m['content'] }}{% endfor %}"
    chat = ChatFormat(tokenizer)
    with pytest.raises(ConfigError, match=rf"found token '<\|turn\|>' with id {len(tokenizer) - 1}, and .* below 262"):
        check_fits(model, chat, [chat.encode("?")])


def test_a_prompt_that_does_not_fit_is_said_with_the_positions_that_it_needs():
    tokenizer = tiny_tokenizer()
    chat, model = ChatFormat(tokenizer), tiny_model(tokenizer, max_position_embeddings=48)
    check_fits(model, chat, [range(48)])
    with pytest.raises(ConfigError, match=r"48 positions .* needs 50, of which 24 are written in reply"):
        check_fits(model, chat, [range(26)], new_tokens=24)


def test_probes_refuse_what_does_not_fit_before_they_call_the_model():
    from driftwatch.probes.reply import ReplyProbe
    from driftwatch.probes.statement import StatementProbe
    from driftwatch.testing import ExactJudge, tiny_pack

    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer, max_position_embeddings=48)
    for probe in (StatementProbe(), ReplyProbe(ExactJudge())):
        with pytest.raises(ConfigError, match="48 positions"):
            probe.prepare(model, tokenizer, tiny_pack().topics)


class MistralLike:
    """As transformers' `MistralCommonBackend`: ids only, no template, strict about arguments and the last role."""

    chat_template = None
    is_fast = False
    bos_token_id, eos_token_id = 1, 2

    def __init__(self, mode):
        self._inner, self._mode = border_tokenizer("bytes"), mode
        self._inner.add_special_tokens({"additional_special_tokens": ["[INST]", "[/INST]"]})
        self.tokenizer = object()  # Mistral's own, which is no tokenizer of transformers
        self.all_special_ids = self._inner.all_special_ids

    def apply_chat_template(
        self,
        conversation,
        *,
        tokenize=True,
        return_dict=True,
        add_generation_prompt=False,
        continue_final_message=False,
    ):
        last, ids = conversation[-1]["role"], [1]
        if continue_final_message and (self._mode == "finetuning" or last != "assistant"):
            raise ValueError("cannot continue")
        if not continue_final_message and (last == "assistant") != (self._mode == "finetuning"):
            raise ValueError(f"wrong last role {last} for {self._mode}")
        start, end = self._inner.convert_tokens_to_ids(["[INST]", "[/INST]"])
        system = [m["content"] + "\n\n" for m in conversation if m["role"] == "system"]
        users = [i for i, m in enumerate(conversation) if m["role"] == "user"]
        for number, message in enumerate(conversation):
            text = "".join(system if number == users[-1] else []) + message["content"]
            words = self._inner(text, add_special_tokens=False)["input_ids"]
            if message["role"] == "user":
                ids += [start, *words, end]
            elif message["role"] == "assistant":
                ids += words if continue_final_message and number == len(conversation) - 1 else [*words, 2]
        return {"input_ids": ids} if return_dict else ids

    def decode(self, ids, skip_special_tokens=False):
        return self._inner.decode(ids, skip_special_tokens=skip_special_tokens)

    def convert_ids_to_tokens(self, ids):
        return self._inner.convert_ids_to_tokens(ids)

    def get_vocab(self):
        return self._inner.get_vocab()

    def __call__(self, text, add_special_tokens=True):
        return self._inner(text, add_special_tokens=add_special_tokens)


@pytest.mark.parametrize("mode", ["test", "finetuning"])
def test_a_tokenizer_that_writes_ids_and_has_no_template_is_asked_in_its_ids(mode):
    tokenizer = MistralLike(mode)
    chat = ChatFormat(tokenizer, Wrap(system="Be brief.\nBe kind."))
    assert chat.has_template
    assert (chat.ends, chat.stop_ids) == (("</s>",), (2,))
    (found,) = chat.encode_pairs([(QUESTION, ANSWERS)])
    for answer, ids in zip(ANSWERS, found.answers, strict=True):
        roles = {"system": "Be brief.\nBe kind.", "user": QUESTION, "assistant": answer}
        messages = [{"role": role, "content": content} for role, content in roles.items()]
        whole = tokenizer.apply_chat_template(
            messages, return_dict=False, **({"continue_final_message": True} if mode == "test" else {})
        )
        assert [*found.prompt, *ids] == whole[: len(whole) - (mode == "finetuning")]
    assert chat.encode(QUESTION) == found.prompt
    assert chat.decode([*found.answers[0], 2]) == ANSWERS[0]
    assert set(chat.identity()) == set(ChatFormat(tiny_tokenizer()).identity())


def test_a_reply_of_thoughts_alone_is_unread_for_that_reason():
    """Greedily, from a model that was taught to think: what it says is no reply, and no judge is asked about it."""
    import torch

    from driftwatch.chat.format import UNFINISHED
    from driftwatch.host.guard import undisturbed
    from driftwatch.replies.sampling import sample

    tokenizer = tiny_tokenizer()
    model, chat = tiny_model(tokenizer, hidden_size=64), ChatFormat(tokenizer)
    prompt = chat.encode("Tea?")
    thoughts = tokenizer("<think>\nTea or coffee is the question", add_special_tokens=False)["input_ids"]
    ids = torch.tensor([[*prompt, *thoughts]])
    labels = torch.tensor([[*[-100] * len(prompt), *thoughts]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    with undisturbed(model) as asked:
        (reply,) = sample(asked, chat, ["Tea?"], generator=torch.Generator(), temperature=0, max_new_tokens=24)
    assert (reply.text, reply.missing) == ("", UNFINISHED)
