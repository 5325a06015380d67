package com.example.model

import java.nio.ByteBuffer

// The same in Kotlin, on top of Preprocessing.java, Answers.java, Photo.java and the class of each runtime.
//? litert

/** [model]: @TFLITE@, mapped from the app's assets. Open it once in an app, and keep it. */
fun withLiteRt(model: ByteBuffer, photo: ByteArray): @KOTLIN_TYPE@ =
    LiteRtModel(model, 2).use { opened ->
        val prepared = Photo.prepared(photo)
        //? litert-masks
        Answers.onPhoto(Answers.mask(opened.probabilities(prepared.tensor)), prepared)
        //? litert-classes litert-sets
        Answers.answer(opened.probabilities(prepared.tensor))
        //? litert
    }
//? onnx

/** [model]: the bytes of @ONNX@. Open it once in an app, and keep it. */
fun withOnnx(model: ByteArray, photo: ByteArray): @KOTLIN_TYPE@ =
    OnnxModel(model, 2).use { opened ->
        val prepared = Photo.prepared(photo)
        //? onnx-masks
        Answers.onPhoto(Answers.mask(opened.probabilities(prepared.tensor)), prepared)
        //? onnx-classes onnx-sets
        Answers.answer(opened.probabilities(prepared.tensor))
        //? onnx
    }
//? end
